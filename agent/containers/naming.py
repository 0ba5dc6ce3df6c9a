"""Which container a person means."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.containers.container_problems import not_found
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError

# What runtimes allow. Anything else would end up in the path of a request to them.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SHOWN = 5


def find(name: str, containers: Mapping[str, Container]) -> str:
    """The id of the container that `name` means: its id, its name, or the start of its id.

    A name that is not known here but could be one is given back: the runtime may know it.

    Raises:
        ProblemError: `container.not_found`, `container.ambiguous`.
    """
    name = name.removeprefix("/")
    if name in containers:
        return name
    for container in containers.values():
        if container.name == name:
            return container.id
    starts = [one for one in containers.values() if name and one.id.startswith(name)]
    if len(starts) == 1:
        return starts[0].id
    if starts:
        shown = sorted(f"{one.name} ({one.id[:12]})" for one in starts)
        raise ProblemError(
            "container.ambiguous",
            f"{name!r} is the start of {len(starts)} ids: {', '.join(shown[:_SHOWN])}",
            params={"container": name, "matches": sorted(one.id for one in starts)[:_SHOWN]},
            hint="Give more of the id, or the container's name.",
        )
    if _NAME.fullmatch(name):
        return name
    raise not_found(name, containers)
