"""A container in short words."""

from __future__ import annotations

from agent.protocol.containers import Container
from agent.protocol.live import LiveContainer
from agent.protocol.node import NodeFacts
from console.cli.node_words import memory
from console.cli.table import Cell
from console.tui.look.words import container_size

_UUID_START = 8


def state(container: Container) -> str:
    """`running`, `running, unhealthy`, `exited 137`, `restarting, 12 times`."""
    if container.state == "running":
        known = container.health in {"none", "healthy"}
        return "running" if known else f"running, {container.health}"
    if container.state == "exited" and container.exit_code is not None:
        return f"exited {container.exit_code}"
    if container.state == "restarting":
        return f"restarting, {container.restart_count} times"
    return container.state


def used_memory(container: LiveContainer) -> Cell:
    """`512M`, `0.5/8.0G` of a limit; `<2M` where the agent rounded it down to nothing."""
    used = container.memory_used_bytes
    if used == 0:
        return Cell(container_size(used), container_size(used))
    return memory(used, container.memory_limit_bytes)


def gpus(container: Container, facts: NodeFacts) -> str:
    """The GPUs that it asked for, by their number where that is known: `0,1`, `all`."""
    number = {gpu.uuid: str(gpu.index) for gpu in facts.gpus}
    return ",".join(
        number.get(asked, asked.removeprefix("GPU-")[:_UUID_START]) for asked in container.gpus
    )


def image(name: str) -> str:
    """Without registry, folders and digest."""
    return name.partition("@")[0].rpartition("/")[2]
