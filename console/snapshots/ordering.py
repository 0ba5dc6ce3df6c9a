"""In which order a snapshot's workloads are applied: nobody before those it waits for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from agent.protocol.deployments import ApplyRequest
from agent.protocol.workloads import Workload
from console.compose.order import start_order

AT_ONCE = 64  # an ApplyRequest takes no more
_OF_ANOTHER = ("service", "container")


def in_order(workloads: Sequence[tuple[str, Workload]]) -> list[ApplyRequest]:
    """Workloads with their releases as requests, one after the other.

    A release is one request, unless it has to wait for another one that waits for it, or has more
    workloads than a request takes.
    """
    release_of = {workload.name: release for release, workload in workloads}
    by_name = {workload.name: workload for _, workload in workloads}
    waits = {name: waited_for(workload) & by_name.keys() for name, workload in by_name.items()}
    names = _sorted(waits)
    releases = {
        release: {
            release_of[other]
            for name, others in waits.items()
            if release_of[name] == release
            for other in others
        }
        - {release}
        for release in dict.fromkeys(release_of.values())
    }
    order, cycle = start_order(releases)
    if not cycle:
        names.sort(key=lambda name: order.index(release_of[name]))
    return [
        ApplyRequest(release=release, workloads=[by_name[name] for name in some])
        for release, group in groupby(names, release_of.__getitem__)
        for some in _pieces(list(group))
    ]


def waited_for(workload: Workload) -> set[str]:
    """Names of containers that have to be there before it."""
    modes = (workload.network_mode, workload.ipc, workload.pid)
    parts = [mode.partition(":") for mode in modes if mode]
    owners = {name for kind, _, name in parts if kind in _OF_ANOTHER}
    return {*workload.depends_on, *owners} - {workload.name, ""}


def _sorted(waits: Mapping[str, Collection[str]]) -> list[str]:
    """All of them; those that wait for each other as they come."""
    order, cycle = start_order(waits)
    return [*order, *(name for name in waits if name not in order)] if cycle else order


def _pieces(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE))
