"""500 simulated nodes in 5 waves: what a runner adds to the soaks, how soon a killed one goes on,
how soon an abort has brought all back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from agent.protocol.deployments import ApplyRequest
from agent.protocol.workloads import Workload
from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from console.rollouts.planning import plan_rollout
from console.rollouts.record import Rollout
from console.rollouts.strategy import Amount, Strategy, Wave
from tests.bench.processes import Usage
from tests.bench.table import Row
from tests.simulated import SimulatorProcess, simulator_process

NODES, FEW = 500, 60
PROCESSES = 2
IMAGE = "edge/gateway:1.9.0"  # all simulated nodes have it
ROOST = Path(sys.executable).with_name("roost")
# What a runner adds does not grow with the soak: measured with a short one, it is set against what
# a release has that says nothing.
SOAK_SECONDS = 10.0
WAVES = (Wave(percent=1), Wave(percent=9), Wave(percent=20), Wave(percent=30))  # and the rest
LIMIT_SECONDS = 600


def run(*, short: bool) -> list[Row]:
    """Over the wire, with the runner's process as `roost rollout start` begins it."""
    count = FEW if short else NODES
    with ExitStack() as stack:
        # A process for each core: the nodes have this machine's, which no real ones would share.
        simulators = [
            stack.enter_context(
                simulator_process(count // PROCESSES, change=0.02, faults=False, seed=number)
            )
            for number in range(PROCESSES)
        ]
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="r", dir="/tmp"))
        side = _Side(Path(name), simulators)
        return [*side.five_waves(), *side.killed(), *side.aborted()]


class _Side:
    """A fleet, a journal, and rollouts of it."""

    def __init__(self, home: Path, simulators: Sequence[SimulatorProcess]) -> None:
        self.home, self.journal = home, Journal(home / "state")
        self.simulators = simulators
        # A node of each in turn: else one simulator works while the others wait.
        self.entries = [
            NodeEntry(name=f"s{number}-{each.name}", address=each.address)
            for nodes in zip(*(each.nodes.nodes for each in simulators), strict=True)
            for number, each in enumerate(nodes)
        ]
        self.fleet = home / "fleet.yaml"
        listed = [{"name": each.name, "address": each.address} for each in self.entries]
        self.fleet.write_text(yaml.safe_dump({"nodes": listed}), encoding="utf-8")
        self.releases = 0

    def five_waves(self) -> list[Row]:
        strategy = Strategy(
            waves=WAVES, soak=SOAK_SECONDS, min_healthy=0, max_unavailable=Amount(percent=100)
        )
        rollout = self._begin(strategy)
        with self._runner(rollout) as process:
            usage = Usage(process.pid)
            started = time.monotonic()
            self._until(rollout, lambda now: now.state != "running")
            lasted = time.monotonic() - started
            busy = usage.cpu_percent() / 100 * lasted
        ended = self.journal.load(rollout.id)
        if ended.counts() != {"done": len(self.entries)}:
            raise RuntimeError(f"not all nodes run it: {ended.state}, {ended.counts()}")
        default = Strategy().soak * ended.waves
        added = lasted - SOAK_SECONDS * ended.waves
        what = f"{len(self.entries)} simulated nodes in {ended.waves} waves"
        return [
            Row(
                name=f"{what}: all but the soaks, of default soaks",
                value=100 * added / default,
                unit="%",
                limit=5.0,
                note=f"{added:.0f} s, with the nodes' own work; soaks of {SOAK_SECONDS:g} s",
            ),
            Row(
                name=f"{what}: the runner's CPU time, of default soaks",
                value=100 * busy / default,
                unit="%",
                note=f"{busy:.1f} s",
            ),
        ]

    def killed(self) -> list[Row]:
        """From the start of a new runner until a node has answered it."""
        rollout = self._begin(Strategy(waves=WAVES, soak=3600.0))
        with self._runner(rollout) as process:
            self._until(rollout, lambda now: now.counts().get("canary", 0) > 0)
            process.send_signal(signal.SIGKILL)
            process.wait()
        heard = max(node.heard_at for node in self.journal.load(rollout.id).nodes)
        started = time.monotonic()
        with self._runner(rollout):
            self._until(rollout, lambda now: any(node.heard_at > heard for node in now.nodes))
            lasted = time.monotonic() - started
            self._abort(rollout)
        name = "a killed runner started again: the first node has answered it after"
        return [Row(name=name, value=lasted, unit="s", limit=3.0)]

    def aborted(self) -> list[Row]:
        """All nodes run it, and none is confirmed."""
        everywhere = Strategy(
            waves=(), soak=3600.0, min_healthy=0, max_unavailable=Amount(percent=100)
        )
        rollout = self._begin(everywhere)
        with self._runner(rollout) as process:
            run = self._until(rollout, lambda now: now.progress.soaks_since is not None)
            begun = run.counts()["canary"]
            steering = Usage(process.pid)
            theirs = [Usage(each.pid) for each in self.simulators]
            lasted = self._abort(rollout)
            ours = steering.cpu_percent() / 100 * lasted
            nodes = sum(each.cpu_percent() / 100 * lasted for each in theirs)
        counts = self.journal.load(rollout.id).counts()
        if counts["reverted"] != begun:
            raise RuntimeError(f"not all of {begun} nodes are back: {counts}")
        name = f"abort: {begun} nodes that are not confirmed are back after"
        note = f"CPU time: {ours:.1f} s the runner's, {nodes:.1f} s the nodes' on this machine"
        return [Row(name=name, value=lasted, unit="s", limit=10.0, note=note)]

    def _abort(self, rollout: Rollout) -> float:
        started = time.monotonic()
        self.journal.wish(rollout.id, "abort", by="bench")
        self._until(rollout, lambda now: now.state == "aborted")
        return time.monotonic() - started

    def _begin(self, strategy: Strategy) -> Rollout:
        self.releases += 1
        marked = {"RELEASE": str(self.releases)}
        workload = Workload(name="web", image=IMAGE, environment=marked, soak=0.1)
        request = ApplyRequest(release=f"app@{self.releases}", workloads=[workload])
        rollout = plan_rollout(
            self.entries,
            {},
            strategy,
            release="app",
            version=f"{self.releases:012}",
            file="app.yaml",
            owner="bench",
        )
        self.journal.plan(rollout, {entry.name: request for entry in self.entries})
        return self.journal.begin(rollout.id, by="bench")

    @contextmanager
    def _runner(self, rollout: Rollout) -> Iterator[subprocess.Popen[bytes]]:
        command = [str(ROOST), "--fleet", str(self.fleet), "rollout", "runner", rollout.id]
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "ROOST_STATE": str(self.journal.folder),
        }
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def _until(self, rollout: Rollout, holds: Callable[[Rollout], bool]) -> Rollout:
        end = time.monotonic() + LIMIT_SECONDS
        while not holds(now := self.journal.load(rollout.id)):
            if time.monotonic() > end or not now.wants_runner:
                raise RuntimeError(f"{now.state}: {now.why}: {now.counts()}")
            time.sleep(0.1)
        return now
