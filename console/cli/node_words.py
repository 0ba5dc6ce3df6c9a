"""A node's figures in short words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from agent.protocol.findings import SEVERITIES, Finding
from agent.protocol.gpus import GpuStack, GpuStackState
from agent.protocol.live import LiveContainer, LiveGpu, LiveNode
from agent.protocol.node import NodeFacts
from console.cli.node_record import NodeRecord
from console.cli.table import UNKNOWN, Cell
from console.fleet.inventory import NodeEntry
from console.tui.look.words import gpu_model, gpus_with_broken, share, size

_STACKS = {
    "driver_mismatch": "mismatch",
    "driver_not_loaded": "no driver",
    "no_gpu": "none",
    "no_library": "no lib",
    "no_permission": "denied",
}


def marks(node: NodeEntry | NodeRecord, facts: NodeFacts | None) -> str:
    """What a person must not overlook, also where there is little room: `PROD`, `sim`."""
    simulated = facts is not None and facts.agent.simulated
    found = [("PROD", node.production), ("sim", simulated)]
    return ",".join(word for word, true in found if true)


def driver(stack: GpuStack) -> tuple[Cell, str]:
    """The driver's version, and the highest CUDA that it can run."""
    version = stack.driver_version or UNKNOWN
    return Cell(version, version.partition(".")[0]), stack.cuda_version or UNKNOWN


def stack_words(state: GpuStackState) -> str:
    """Why there are no GPUs."""
    return _STACKS.get(state, state.replace("_", " "))


def gpu_words(live: LiveNode, gpus: Sequence[LiveGpu]) -> str:
    """`2xT4`; `1 lost of 2xT4`; or why there are none."""
    if not gpus:
        state = live.gpu_state
        return (
            UNKNOWN if state in {"ok", "simulated"} else _STACKS.get(state, state.replace("_", " "))
        )
    models = Counter(gpu_model(gpu.name) for gpu in gpus)
    text = " ".join(f"{count}x{model}" for model, count in models.most_common())
    return gpus_with_broken(text, (gpu.state for gpu in gpus))


def load(gpus: Sequence[LiveGpu]) -> tuple[str, Cell, str]:
    """Mean utilization, memory of all, and the hottest; each over the GPUs that tell."""
    loads = [gpu.utilization_percent for gpu in gpus if gpu.utilization_percent is not None]
    heats = [gpu.temperature_celsius for gpu in gpus if gpu.temperature_celsius is not None]
    known = [
        (gpu.memory_used_bytes, gpu.memory_total_bytes)
        for gpu in gpus
        if gpu.memory_used_bytes is not None and gpu.memory_total_bytes
    ]
    return (
        f"{sum(loads) / len(loads):.0f}%" if loads else UNKNOWN,
        memory(*map(sum, zip(*known, strict=True))) if known else Cell(UNKNOWN, UNKNOWN),
        f"{max(heats)}C" if heats else UNKNOWN,
    )


def memory(used: int | None, total: int | None) -> Cell:
    """`3.2/15.0G`, or in short `21%`."""
    if used is None:
        return Cell(UNKNOWN, UNKNOWN)
    if not total:
        return Cell(size(used), size(used))
    return Cell(share(used, total), f"{100 * used / total:.0f}%")


def container_count(live: LiveNode, containers: Iterable[LiveContainer]) -> str:
    """Running ones, and of how many; unknown where the runtime does not answer."""
    if live.runtime_state not in {"ok", "simulated"}:
        return UNKNOWN
    states = [container.state for container in containers]
    running = states.count("running")
    return str(running) if running == len(states) else f"{running}/{len(states)}"


def findings(found: Sequence[Finding]) -> str:
    """How many, and how bad the worst is: `3 critical`."""
    if not found:
        return "0"
    worst = max((finding.severity for finding in found), key=SEVERITIES.index)
    return f"{len(found)} {worst}"
