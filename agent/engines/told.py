"""What a worker told, made into a job's progress and an engine's manifest."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from agent.engines.events import Built, Checked, Event, Message, Parsed, Progress
from agent.jobs.work import Work
from agent.protocol.decoding import from_plain
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import Builder
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError

STEPS = 1000  # of a build's progress


class Told:
    """What a worker told so far. `inputs_sha256`: of the files that it reads inputs from."""

    def __init__(self, work: Work[Any], builder: Builder, inputs_sha256: str | None = None) -> None:
        self._work, self._builder, self._inputs = work, builder, inputs_sha256
        self.parsed: Parsed | None = None
        self.built: Built | None = None
        self._checked: Checked | None = None
        self._phase, self.warnings = "", 0

    def __call__(self, event: Event) -> None:
        work = self._work
        if isinstance(event, Progress):
            work.progress(int(event.fraction * STEPS), STEPS, "items")
            if event.phase != self._phase:
                self._phase = event.phase
                work.log(f"{event.phase}, {event.fraction:.0%}")
        elif isinstance(event, Message):
            self.warnings += event.severity == "warning"
            work.log(f"{event.severity}: {event.text}")
        elif isinstance(event, Parsed):
            self.parsed = event
            inputs = ", ".join(f"{each.name} {each.shape}" for each in event.inputs)
            work.log(f"{event.layers} layers, inputs {inputs}")
        elif isinstance(event, Built):
            self.built = event
        elif isinstance(event, Checked):
            self._checked = event

    def check(self, *, driver: str | None, gpu: Gpu | None) -> EngineCheck:
        """How far it was tried. Raises ProblemError `engine.worker`: it did not say."""
        if self._checked is None:
            raise incomplete()
        try:
            check = from_plain(msgspec.to_builtins(self._checked), EngineCheck)
        except msgspec.ValidationError as error:
            raise ProblemError(
                "engine.worker",
                f"the builder told what it saw in a way that this agent does not know: {error}",
                hint="The agent and its worker.py do not fit: install the agent anew.",
            ) from None
        builder = self._builder
        check.at, check.driver_version = time.time(), driver
        check.tensorrt, check.image = f"{builder.flavour} {builder.version}", builder.image
        check.inputs_sha256 = self._inputs
        if gpu is not None:
            check.gpu, check.compute_capability = gpu.uuid, gpu.compute_capability
        self._say(check)
        return check

    def _say(self, check: EngineCheck) -> None:
        for each in check.latencies:
            self._work.log(
                f"profile {each.profile}, batch {each.batch}: p50 {each.p50_ms:.2f} ms, p99"
                f" {each.p99_ms:.2f} ms, {each.throughput:.1f} items/s"
            )
        compared = check.compared
        if compared is not None:
            verdict = "within tolerance" if compared.ok else "beyond tolerance"
            self._work.log(f"compared with {compared.with_}: {verdict}")
        elif check.not_compared:
            self._work.log(f"not compared: {check.not_compared}")


def incomplete() -> ProblemError:
    """It went well by its own words, and left out what was asked for."""
    return ProblemError(
        "engine.worker",
        "the builder did not say what it built",
        hint="The job's log has all that it printed.",
    )
