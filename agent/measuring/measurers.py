"""How one `Measure` is read once: a page of metrics, or a command in the container."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agent.containers.inside_http import InsideHttp, InsideRequest, NoAnswerError
from agent.containers.runtime import ContainerRuntime
from agent.measuring.metric_reader import MetricReader
from agent.measuring.readings import NotMeasuredError
from agent.protocol.measures import ExecMeasure, Measure, PrometheusMeasure
from agent.protocol.problems import ProblemError
from agent.workloads.gpu_check import run_inside

AGENT = "roost-measure"
ACCEPT = "text/plain;version=0.0.4, text/plain;q=0.5"
SAID = 200
# A command that hangs may not be there to be killed: no more of them than so many.
HANGS = 3


class Reader(Protocol):
    """One measure of one arm, in one window. A value, or NotMeasuredError; never longer than its
    time-out, whatever the container does."""

    async def read(self, container: str, at: float) -> float: ...


class PageReader:
    """Reads a metric on the container's own page."""

    def __init__(self, http: InsideHttp, measure: PrometheusMeasure) -> None:
        self._http, self._measure = http, measure
        self._metric = MetricReader(measure)

    async def read(self, container: str, at: float) -> float:
        """Raises NotMeasuredError."""
        measure = self._measure
        request = InsideRequest(
            port=measure.port, target=measure.path, agent=AGENT, headers={"Accept": ACCEPT}
        )
        try:
            answer = await self._http.ask(
                container,
                request,
                timeout_seconds=measure.timeout,
                limit_bytes=measure.limit_bytes,
            )
        except NoAnswerError as error:
            raise NotMeasuredError(f"GET :{measure.port}{measure.path}: {error}") from error
        except ProblemError as problem:
            raise NotMeasuredError(problem.detail) from problem
        if answer.status != 200:
            raise NotMeasuredError(f"GET :{measure.port}{measure.path} answered {answer.status}")
        page = answer.body.decode("utf-8", "replace")
        return await asyncio.to_thread(self._metric.read, page, at)


class ExecReader:
    """Runs a command that prints a number on its last line."""

    def __init__(self, runtime: ContainerRuntime, measure: ExecMeasure) -> None:
        self._runtime, self._measure = runtime, measure
        self._hung = 0

    async def read(self, container: str, at: float) -> float:
        """Raises NotMeasuredError."""
        del at
        measure = self._measure
        shown = " ".join(measure.command)[:SAID]
        if self._hung >= HANGS:
            raise NotMeasuredError(f"`{shown}` hung {HANGS} times and is not run any more")
        try:
            # The time counts from its start, which the runtime's own limit bounds.
            ran = await run_inside(
                self._runtime,
                container,
                measure.command,
                measure.timeout,
                limit_bytes=measure.limit_bytes,
            )
        except TimeoutError:
            self._hung += 1
            raise NotMeasuredError(f"`{shown}` took longer than {measure.timeout:g} s") from None
        except ProblemError as problem:
            raise NotMeasuredError(f"`{shown}`: {problem.detail}") from problem
        self._hung = 0
        if ran.code != 0:
            said = " ".join(ran.output.split())[-SAID:]
            raise NotMeasuredError(
                f"`{shown}` ended with {ran.code}" + (f": {said}" if said else "")
            )
        if ran.cut:
            raise NotMeasuredError(f"`{shown}` wrote more than {measure.limit_bytes} bytes")
        return number_in(ran.printed, shown)


def number_in(printed: str, shown: str) -> float:
    """The number on the last line that is not blank.

    Raises:
        NotMeasuredError: there is none.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    try:
        return float(last.replace("_", " "))  # Python takes 1_000 for a number
    except ValueError:
        told = f"its last line is {last[:SAID]!r}" if last else "it printed nothing"
        raise NotMeasuredError(f"`{shown}` printed no number: {told}") from None


class Readers:
    """Makes the readers of one node."""

    def __init__(self, runtime: ContainerRuntime, http: InsideHttp) -> None:
        self._runtime, self._http = runtime, http

    def reader(self, measure: Measure) -> Reader:
        """A new one, which has read nothing yet."""
        if isinstance(measure, ExecMeasure):
            return ExecReader(self._runtime, measure)
        return PageReader(self._http, measure)
