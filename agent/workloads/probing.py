"""Whether a container is well: it runs, its health check says so, its probes pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from agent.containers.inside_http import InsideHttp, InsideRequest, NoAnswerError
from agent.containers.runtime import ContainerRuntime
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import ExecProbe, GpuProbe, HttpProbe, Probe
from agent.workloads.gpu_check import run_inside
from agent.workloads.health_runs import HealthRuns


class Wellness(NamedTuple):
    """`waiting` may become either; `why` says what it waits for, or what is wrong."""

    state: Literal["well", "waiting", "ended", "unwell"]
    why: str = ""


class Prober:
    """Looks at containers of one node.

    Args:
        procfs: where the host's processes are, for a container's own network; None: simulated,
            where HTTP probes pass.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        health: HealthRuns,
        *,
        procfs: Path | None = Path("/proc"),
    ) -> None:
        self._runtime, self._health = runtime, health
        self._inside = None if procfs is None else InsideHttp(runtime, procfs)

    async def look(self, container: Container, probes: Sequence[Probe]) -> Wellness:
        """One look, probes included where the container is as far.

        Raises:
            ProblemError: `runtime.*`.
        """
        container = await self._health.run(container)
        if container.state in ("exited", "dead", "removing"):
            return Wellness("ended", f"it ended with exit code {container.exit_code}")
        if container.state != "running":
            return Wellness("waiting", f"it is {container.state}")
        if container.health == "unhealthy":
            return Wellness("unwell", "its health check says unhealthy")
        if container.health == "starting":
            return Wellness("waiting", "its health check has not passed yet")
        for probe in probes:
            why = await self._probe(container, probe)
            if why is not None:
                return Wellness("waiting", why)
        return Wellness("well")

    async def _probe(self, container: Container, probe: Probe) -> str | None:
        """Why it does not pass; None: it does."""
        if isinstance(probe, GpuProbe):
            return None  # it belongs to the check of GPUs
        if isinstance(probe, ExecProbe):
            return await self._exec(container, probe)
        return await self._http(container, probe)

    async def _exec(self, container: Container, probe: ExecProbe) -> str | None:
        shown = " ".join(probe.command)[:100]
        try:
            ran = await run_inside(self._runtime, container.id, probe.command, probe.timeout)
        except TimeoutError:
            return f"probe `{shown}` took longer than {probe.timeout:g} s"
        except ProblemError as problem:
            if problem.code.startswith("runtime."):
                raise
            return f"probe `{shown}`: {problem.detail}"
        if ran.code == 0:
            return None
        said = " ".join(ran.output.split())[:200]
        return f"probe `{shown}` ended with {ran.code}" + (f": {said}" if said else "")

    async def _http(self, container: Container, probe: HttpProbe) -> str | None:
        what = f"GET :{probe.port}{probe.path}"
        if self._inside is None:
            return None
        request = InsideRequest(port=probe.port, target=probe.path, agent="roost-probe")
        try:
            answer = await self._inside.ask(
                container.id,
                request,
                timeout_seconds=probe.timeout,
                limit_bytes=None,
            )
        except NoAnswerError as error:
            return f"{what}: {error}"
        return None if 200 <= answer.status < 400 else f"{what} answered {answer.status}"
