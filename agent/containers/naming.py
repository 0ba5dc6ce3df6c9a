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


def checked(name: str, containers: Mapping[str, Container]) -> str:
    """The name as a runtime may be asked for it: an id, a name, or the start of an id.

    Only the runtime knows who has a name at this moment: containers are renamed and replaced
    faster than events come, and the wrong one would be stopped.

    Raises:
        ProblemError: `container.not_found`, it can be no name; `container.ambiguous`.
    """
    name = name.removeprefix("/")
    if not _NAME.fullmatch(name):
        raise not_found(name, containers)
    if name not in containers and all(one.name != name for one in containers.values()):
        starts = [one for one in containers.values() if one.id.startswith(name)]
        if len(starts) > 1:
            raise _ambiguous(name, starts)
    return name


def fits(name: str, container: Container) -> bool:
    """Whether the container is what was asked for; runtimes may match more than ids and names."""
    return container.name == name or container.id.startswith(name)


def find(name: str, containers: Mapping[str, Container]) -> Container:
    """The container that is meant, where `containers` are all that there are.

    Raises:
        ProblemError: `container.not_found`, `container.ambiguous`.
    """
    name = checked(name, containers)
    if name in containers:
        return containers[name]
    named = [one for one in containers.values() if one.name == name]
    for one in named or (one for one in containers.values() if one.id.startswith(name)):
        return one
    raise not_found(name, containers)


def _ambiguous(name: str, matches: list[Container]) -> ProblemError:
    shown = sorted(f"{one.name} ({one.id[:12]})" for one in matches)
    return ProblemError(
        "container.ambiguous",
        f"{name!r} is the start of {len(matches)} ids: {', '.join(shown[:_SHOWN])}",
        params={"container": name, "matches": sorted(one.id for one in matches)[:_SHOWN]},
        hint="Give more of the id, or the container's name.",
    )
