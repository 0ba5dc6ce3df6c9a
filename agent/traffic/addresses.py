"""Where a container answers: its address in its first network, as the runtime tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.containers.runtime import NodeRuntime
from agent.protocol.problems import ProblemError

Json = Mapping[str, Any]


async def address_of(runtime: NodeRuntime, container: str) -> str | None:
    """IPv4 where it has that, else IPv6; "": it does not run, or is gone; None: it has no address.

    Raises:
        ProblemError: `runtime.*`.
    """
    try:
        answer = await runtime.inspect(container)
    except ProblemError as problem:
        if problem.code != "container.not_found":
            raise
        return ""
    if not (answer.get("State") or {}).get("Running"):
        return ""
    return _address(answer)


def _address(answer: Json) -> str | None:
    settings = answer.get("NetworkSettings") or {}
    networks: dict[str, Json] = settings.get("Networks") or {}
    first = str((answer.get("HostConfig") or {}).get("NetworkMode") or "")
    order = sorted(networks, key=lambda name: (name != first, name))
    for key in ("IPAddress", "GlobalIPv6Address"):
        for name in order:
            if address := str((networks[name] or {}).get(key) or ""):
                return address
    return None
