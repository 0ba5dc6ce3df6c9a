"""In which order old and new run, chosen from what the two would fight over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Strategy
from agent.traffic.state import Front
from agent.workloads.fronting import published_itself
from agent.workloads.recipe import SHARED, Recipe
from agent.workloads.records import Part

Json = Mapping[str, Any]


class Chosen(NamedTuple):
    """A strategy, and why."""

    strategy: Strategy
    why: str


class Memory(NamedTuple):
    """Why old and new do not fit on their GPUs at once; `known`: it was measured."""

    why: str
    known: bool


def choose_strategy(
    wanted: Strategy | None,
    part: Part,
    *,
    memory_for_both: Memory | None,
) -> Chosen:
    """The strategy asked for, if it can work; else the one that loses least for sure.

    Args:
        part: with the container that runs now, and what a proxy publishes of both.
        memory_for_both: None: both fit.

    Raises:
        ProblemError: `deploy.strategy`.
    """
    if wanted == "weighted" and part.front is None:
        raise _refused(wanted, "a pin leaves its ports where they are", "stop-then-start")
    if part.old is None or not part.old.running:
        why = "nothing runs under that name"
        return Chosen("weighted" if wanted == "weighted" else "stop-then-start", why)
    recipe, old = part.recipe, part.old.recipe
    fights = _fights(recipe, old, part.old.front)
    if wanted in ("start-then-stop", "weighted") and fights:
        raise _refused(wanted, f"both would need {fights[0]}", "stop-then-start")
    if wanted == "weighted" and memory_for_both is not None and memory_for_both.known:
        raise _refused(wanted, memory_for_both.why, "stop-then-start")
    if wanted is not None:
        return Chosen(wanted, "asked for")
    shared = _written_by_both(recipe, old)
    reasons = [
        *(f"both would need {fight}" for fight in fights),
        *([f"both would write {shared[0]}"] if shared else []),
        *([memory_for_both.why] if memory_for_both else []),
    ]
    if reasons:
        return Chosen("stop-then-start", reasons[0])
    if part.front is not None:
        return Chosen("weighted", "it has a proxy, and both can run at once")
    return Chosen("start-then-stop", "they share no port, no address and no volume")


def _fights(recipe: Recipe, old: Recipe, old_front: Front | None) -> list[str]:
    """What only one container can have."""
    mode, before = _mode(recipe), _mode(old)
    found = ["the host's network"] if "host" in (mode, before) else []
    if mode.startswith((SHARED, "container:")):
        found.append("the ports of the network that they share")
    held = _ports(old) | {f"{bind.port}/tcp" for bind in (old_front.binds if old_front else ())}
    found += [f"port {port}" for port in sorted(_ports(recipe) & held)]
    return found + [f"address {each}" for each in sorted(_addresses(recipe) & _addresses(old))]


def _mode(recipe: Recipe) -> str:
    return str((recipe.body.get("HostConfig") or {}).get("NetworkMode") or "")


def _ports(recipe: Recipe) -> set[str]:
    bindings = (recipe.body.get("HostConfig") or {}).get("PortBindings") or {}
    return {
        f"{binding['HostPort']}/{inside.partition('/')[2] or 'tcp'}"
        for inside, each in bindings.items()
        for binding in each or []
        if binding.get("HostPort") not in (None, "", "0")
    }


def _addresses(recipe: Recipe) -> set[str]:
    return {
        str(address)
        for endpoint in recipe.networks.values()
        for key, address in (endpoint.get("IPAMConfig") or {}).items()
        if key in ("IPv4Address", "IPv6Address") and address
    }


def _written_by_both(recipe: Recipe, old: Recipe) -> list[str]:
    return sorted(_written(recipe) & _written(old))


def _written(recipe: Recipe) -> set[str]:
    host = recipe.body.get("HostConfig") or {}
    binds = [str(bind).split(":") for bind in host.get("Binds") or []]
    found = {
        parts[0]
        for parts in binds
        if len(parts) > 1 and "ro" not in (parts[2] if len(parts) > 2 else "").split(",")
    }
    return found | {
        str(mount["Source"])
        for mount in host.get("Mounts") or []
        if mount.get("Source") and not mount.get("ReadOnly")
    }


def downtime(part: Part) -> str:
    """What whoever uses the workload notices, in words."""
    old = part.old
    if old is None or not old.running:
        return "none: nothing runs under that name"
    if part.shifts:
        return "none: new requests go over to the new container, the old one answers what it has"
    if part.front is not None and old.front is None:
        taken = published_itself(old.recipe) & part.front.binds
        if taken and part.strategy != "stop-then-start":
            return (
                "once, planned: from the stop of the old container, which publishes port"
                f" {part.front.shown} itself, until its proxy does; later deployments have none"
            )
    if part.front is None and old.front is not None:
        return (
            f"once, planned: from the end of its proxy, which publishes port {old.front.shown},"
            " until the new container answers there itself"
        )
    if part.strategy == "stop-then-start":
        return "from the stop of the old container until the new one answers"
    if part.front is not None and old.front is not None:
        if old.front.modes != part.front.modes:
            return (
                "while its proxy starts anew, in another mode: what is open then may be cut off,"
                " and the new container gets all at once"
            )
        return "while its proxy starts anew, with the new ports"
    if _ports(part.recipe) != _ports(old.recipe):
        return "none for clients that find the new port; the old one stops once the new one is well"
    return "none: the old container stops once the new one is well"


def _refused(wanted: Strategy, why: str, instead: Strategy) -> ProblemError:
    return ProblemError(
        "deploy.strategy",
        f"{wanted} cannot work here: {why}",
        params={"strategy": wanted},
        hint=f"Use {instead}, or leave it to Roost to choose.",
    )
