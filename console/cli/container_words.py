"""A container in short words."""

from __future__ import annotations

from agent.protocol.containers import Container
from agent.protocol.node import NodeFacts

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


def gpus(container: Container, facts: NodeFacts) -> str:
    """The GPUs that it asked for, by their number where that is known: `0,1`, `all`."""
    number = {gpu.uuid: str(gpu.index) for gpu in facts.gpus}
    return ",".join(
        number.get(asked, asked.removeprefix("GPU-")[:_UUID_START]) for asked in container.gpus
    )


def image(name: str) -> str:
    """Without registry, folders and digest."""
    return name.partition("@")[0].rpartition("/")[2]
