"""Whether a container sees the GPUs that it was given, and no other, looked at from inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from anyio import fail_after

from agent.containers.runtime import ContainerRuntime
from agent.doctor.inside import InsideLook, InsideLooker
from agent.protocol.containers import Container, ExecExit, ExecRequest
from agent.protocol.deployments import GpuChecked
from agent.protocol.gpus import TEGRA_UUID, Gpu
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuProbe

OUTPUT_LIMIT_BYTES = 64 * 1024


class Ran(NamedTuple):
    """A command that ran in a container. `cut`: it wrote more than was taken."""

    code: int | None
    output: str  # standard output and error, as they came
    printed: str = ""  # standard output alone
    cut: bool = False


class GpuSeen(NamedTuple):
    """`how` is the rung of the ladder that told."""

    verdict: Literal["right", "wrong", "unknown"]
    how: GpuChecked
    what: str


async def run_inside(
    runtime: ContainerRuntime,
    container: str,
    command: Sequence[str],
    seconds: float,
    *,
    limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> Ran:
    """Run a command in a container and wait for its end.

    Raises:
        ProblemError: `exec.command`, `container.*`, `runtime.*`.
        TimeoutError: it took longer; its end is asked for.
    """
    session = await runtime.exec(container, ExecRequest(command=list(command)))
    output, printed, code, cut = bytearray(), bytearray(), None, False
    try:
        with fail_after(seconds):
            async for item in session.output():
                if isinstance(item, ExecExit):
                    code = item.code
                else:
                    taken = item.data[: limit_bytes - len(output)]
                    cut = cut or len(taken) < len(item.data)
                    output += taken
                    printed += taken if item.stream == "stdout" else b""
    finally:
        await session.close()
    return Ran(code, output.decode("utf-8", "replace"), printed.decode("utf-8", "replace"), cut)


class GpuCheck:
    """The ladder: `nvidia-smi -L` inside; the workload's own probe; its namespaces."""

    def __init__(self, runtime: ContainerRuntime, looker: InsideLooker) -> None:
        self._runtime, self._looker = runtime, looker

    async def look(
        self,
        container: Container,
        wanted: Sequence[str],
        gpus: Sequence[Gpu],
        probe: GpuProbe | None,
    ) -> GpuSeen:
        """Compare what a running container sees with what it was given.

        Args:
            wanted: UUIDs of GPUs and MIG slices.
            gpus: of the node, to know a device node's GPU.

        Raises:
            ProblemError: `runtime.unreachable`: nothing can be told now, and may be in a moment.
        """
        # Podman does not say what a container was given.
        given = msgspec.structs.replace(
            container,
            gpus=list(wanted),
            gpu_way=container.gpu_way if container.gpu_way != "none" else "cdi",
        )
        look = (await self._looker.look([given])).get(container.id)
        own = is_own(wanted)
        if look is not None and look.way == "exec" and look.sees is not None:
            if own:
                return _own("nvidia-smi", "nvidia-smi inside it", sees=look.sees)
            return _by_uuids("nvidia-smi", set(look.uuids), set(wanted), gpus)
        if probe is not None:
            found = await self._by_probe(container, wanted, gpus, probe)
            if found is not None:
                return found
        return by_nodes(look, wanted, gpus)

    async def _by_probe(
        self, container: Container, wanted: Sequence[str], gpus: Sequence[Gpu], probe: GpuProbe
    ) -> GpuSeen | None:
        """None: the probe could not be run."""
        try:
            ran = await run_inside(self._runtime, container.id, probe.command, probe.timeout)
        except TimeoutError:
            return GpuSeen("wrong", "probe", f"its own probe took longer than {probe.timeout:g} s")
        except ProblemError as problem:
            if problem.code.startswith("runtime."):
                raise
            return None
        return probed(ran, wanted, gpus)


def is_own(wanted: Sequence[str]) -> bool:
    """Whether it is a Jetson's own GPU: there is no other, and inside it has another name."""
    return any(uuid.startswith(TEGRA_UUID) for uuid in wanted)


def probed(ran: Ran, wanted: Sequence[str], gpus: Sequence[Gpu]) -> GpuSeen:
    """What a workload's own probe tells, which prints the UUIDs that it sees."""
    if ran.code != 0:
        said = " ".join(ran.output.split())[:200]
        return GpuSeen("wrong", "probe", f"its own probe ended with {ran.code}: {said}")
    if is_own(wanted):
        return GpuSeen("right", "probe", "its own probe sees the machine's own GPU")
    if missing := [uuid for uuid in wanted if uuid not in ran.output]:
        return GpuSeen("wrong", "probe", f"its own probe does not see {', '.join(missing)}")
    given = {
        gpu.uuid
        for gpu in gpus
        if gpu.uuid in wanted or any(each.uuid in wanted for each in gpu.mig_instances)
    }
    if extra := [gpu.uuid for gpu in gpus if gpu.uuid not in given and gpu.uuid in ran.output]:
        return GpuSeen(
            "wrong", "probe", f"its own probe sees {', '.join(extra)}, which are not its"
        )
    return GpuSeen("right", "probe", f"its own probe sees {', '.join(wanted)}")


def _by_uuids(how: GpuChecked, seen: set[str], wanted: set[str], gpus: Sequence[Gpu]) -> GpuSeen:
    # nvidia-smi lists the GPU of a slice above it.
    parents = {
        gpu.uuid for gpu in gpus if {each.uuid for each in gpu.mig_instances} & (seen | wanted)
    }
    extra, missing = seen - wanted - parents, wanted - seen
    if not extra and not missing:
        return GpuSeen("right", how, f"{how} inside it lists {', '.join(sorted(wanted))}")
    told = [
        f"{how} inside it does not list {', '.join(sorted(missing))}" if missing else "",
        f"{how} inside it lists {', '.join(sorted(extra))}, which it was not given"
        if extra
        else "",
        "" if seen else "it sees no GPU",
    ]
    return GpuSeen("wrong", how, "; ".join(filter(None, told)))


def _own(how: GpuChecked, who: str, *, sees: bool) -> GpuSeen:
    """Of a Jetson's own GPU there is nothing to compare."""
    if sees:
        return GpuSeen("right", how, f"{who} sees the machine's own GPU")
    return GpuSeen("wrong", how, f"{who} sees no GPU")


def by_nodes(look: InsideLook | None, wanted: Sequence[str], gpus: Sequence[Gpu]) -> GpuSeen:
    """By device nodes and the environment of process 1, which is all that some images show."""
    if look is None:
        return GpuSeen("unknown", "could_not_tell", "the container does not run")
    if is_own(wanted):
        if look.sees is None:
            why = look.reason or "nothing inside it tells"
            return GpuSeen("unknown", "could_not_tell", why)
        return _own("namespaces", "by its device nodes it", sees=look.sees)
    if look.environment is not None:
        named = {name.strip() for name in look.environment.split(",")}
        other = named - set(wanted) - {"void", "none", ""}
        # A CDI device says "void" here; "all" is what an image says of itself.
        if other and other != {"all"}:
            return GpuSeen("wrong", "namespaces", f"its process 1 was given {look.environment}")
    minors = {gpu.minor: gpu.uuid for gpu in gpus if gpu.minor is not None}
    parents = {each.uuid: gpu.uuid for gpu in gpus for each in gpu.mig_instances}
    expected = {parents.get(uuid, uuid) for uuid in wanted}
    if look.minors:
        seen = {minors.get(minor, f"/dev/nvidia{minor}") for minor in look.minors}
        if seen == expected:
            nodes = ", ".join(f"/dev/nvidia{minor}" for minor in look.minors)
            return GpuSeen("right", "namespaces", f"it has {nodes}, of the GPUs it was given")
        return GpuSeen("wrong", "namespaces", f"it has device nodes of {', '.join(sorted(seen))}")
    if look.sees is False and any(gpu.minor is not None for gpu in gpus):
        return GpuSeen("wrong", "namespaces", "it has no device node of a GPU")
    return GpuSeen("unknown", "could_not_tell", look.reason or "nothing inside it tells")
