"""Containers that the runtime itself leaves behind: no I/O.

One in the network of another that began anew is in a network that is gone: dockerd restarts the
other one and does not tell it (seen on 20.10; at its own start, and after a reboot, it starts both
in turn). And Podman starts nothing after a reboot where no `podman-restart.service` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.protocol.containers import Container
from agent.workloads.recipe import CONTAINER, SHARED
from agent.workloads.records import WorkloadRecord

COMES_UP = ("always", "unless-stopped")  # which Podman takes for the same


def adrift(
    workloads: Iterable[WorkloadRecord], containers: Mapping[str, Container]
) -> dict[str, str]:
    """Whose network it was, by the id of the container that is still in it."""
    known = {each.name: each for each in workloads}
    found = {}
    for record in known.values():
        owner = _owner(record, known, containers)
        here = containers.get(record.stable or "")
        if owner is None or here is None:
            continue
        both = owner.state == here.state == "running"
        if both and owner.started_at and here.started_at and owner.started_at > here.started_at:
            found[here.id] = owner.name
    return found


def down_since_boot(
    workloads: Iterable[WorkloadRecord], containers: Mapping[str, Container], booted_at: float
) -> set[str]:
    """Ids of containers that shall come up by themselves and did not, in this boot.

    One in the network of another waits for that.
    """
    known = {each.name: each for each in workloads}
    found = set()
    for record in known.values():
        here = containers.get(record.stable or "")
        if here is None or here.state != "exited" or record.recipe is None:
            continue
        owner = _owner(record, known, containers)
        if owner is not None and owner.state != "running":
            continue
        comes_up = record.recipe.restart.get("Name") in COMES_UP
        if comes_up and here.started_at is not None and here.started_at < booted_at:
            found.add(here.id)
    return found


def _owner(
    record: WorkloadRecord,
    known: Mapping[str, WorkloadRecord],
    containers: Mapping[str, Container],
) -> Container | None:
    """The container whose network it is in; None: it has its own, or nobody knows."""
    if record.recipe is None:
        return None
    mode = record.recipe.network_mode
    if mode.startswith(SHARED):
        owner = known.get(mode.removeprefix(SHARED))
        return None if owner is None else containers.get(owner.stable or "")
    if not mode.startswith(CONTAINER):
        return None
    name = mode.removeprefix(CONTAINER)
    return next((each for each in containers.values() if name in (each.name, each.id)), None)
