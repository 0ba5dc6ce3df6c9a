"""What of a workload its proxy publishes in its place: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Port, Strategy
from agent.traffic.state import Bind, Front, FrontPort, front_of
from agent.workloads.recipe import SHARED, Recipe

Json = Mapping[str, Any]
# What may stand in a proxy's file: an IP address without a zone, or none.
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{0,45}")


def wished_front(
    wanted: Strategy | None, recipe: Recipe, before: Front | None, ports: Sequence[Port] = ()
) -> Front | None:
    """What a proxy would publish of it; None: it publishes its ports itself.

    A workload gets a proxy by being `weighted`, and keeps it unless it shall stop before it starts.

    Args:
        recipe: with the ports that it publishes.
        before: of the container that runs now.
        ports: as they were asked for, with their modes.

    Raises:
        ProblemError: `deploy.strategy`: no proxy could stand in front of it.
    """
    kept = before is not None and wanted != "stop-then-start"
    if wanted != "weighted" and not kept:
        return None
    why = _why_not(recipe)
    if why is None:
        return _front(recipe, ports)
    if wanted != "weighted":
        return None
    raise ProblemError(
        "deploy.strategy",
        f"weighted cannot work here: {why}",
        params={"strategy": wanted},
        hint="Publish fixed TCP ports from a network of its own, or use stop-then-start.",
    )


def mode_changes(before: Front | None, after: Front | None) -> list[str]:
    """Ports that another mode is to be spoken on, in words; the proxy starts anew for that."""
    if before is None or after is None:
        return []
    modes = {each.bind: each.mode for each in before.ports}
    return [
        f"x-roost.mode of port {each.bind.port}: {modes[each.bind]} becomes {each.mode}"
        for each in after.ports
        if modes.get(each.bind, each.mode) != each.mode
    ]


def without_ports(recipe: Recipe) -> Recipe:
    """The same, publishing nothing: a proxy does."""
    host = {
        key: value
        for key, value in (recipe.body.get("HostConfig") or {}).items()
        if key != "PortBindings"
    }
    return msgspec.structs.replace(recipe, body={**recipe.body, "HostConfig": host})


def published_itself(recipe: Recipe) -> frozenset[Bind]:
    """The fixed TCP ports that a container of it has itself."""
    return frozenset(
        Bind(port=int(each["HostPort"]), host_ip=str(each.get("HostIp") or ""))
        for inside, bindings in _bindings(recipe).items()
        for each in bindings or []
        if inside.endswith("/tcp") and each.get("HostPort") not in (None, "", "0")
    )


def _why_not(recipe: Recipe) -> str | None:
    mode = str((recipe.body.get("HostConfig") or {}).get("NetworkMode") or "")
    if mode == "host":
        return "it is in the host's network"
    if mode == "none" or mode.startswith((SHARED, "container:")):
        return "it has no network of its own"
    bindings = _bindings(recipe)
    if not any(bindings.values()):
        return "it publishes no port"
    for inside, each in bindings.items():
        if not inside.endswith("/tcp"):
            return f"its port {inside} is not TCP"
        if any(binding.get("HostPort") in (None, "", "0") for binding in each or []):
            return f"the runtime chooses where its port {inside} is published"
        for address in (str(binding.get("HostIp") or "") for binding in each or []):
            if _ADDRESS.fullmatch(address) is None:
                return f"{address[:60]!r}, where its port {inside} is published, is no address"
    return None


def _front(recipe: Recipe, ports: Sequence[Port]) -> Front:
    modes = {each.target: each.mode for each in ports if each.protocol == "tcp" and each.mode}
    return front_of(
        [
            FrontPort(
                bind=Bind(port=int(each["HostPort"]), host_ip=_everywhere(each.get("HostIp"))),
                target=(target := int(inside.partition("/")[0])),
                mode=modes.get(target, "http"),
            )
            for inside, bindings in _bindings(recipe).items()
            for each in bindings
        ]
    )


def _everywhere(address: str | None) -> str:
    return "" if address in (None, "", "0.0.0.0", "::") else str(address)  # noqa: S104 - compared


def _bindings(recipe: Recipe) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (recipe.body.get("HostConfig") or {}).get("PortBindings") or {}
    return found
