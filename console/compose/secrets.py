"""`secrets` of a service: names; the values lie on the nodes."""

from __future__ import annotations

from collections.abc import Mapping

from agent.protocol.workloads import SecretUse
from console.compose.definitions import defined
from console.compose.reading import Place
from console.compose.tree import Sequence

_FOLDER = "/run/secrets"


def read_secrets(place: Place | None, secrets: Mapping[str, str]) -> list[SecretUse]:
    """Each secret with the path of its file in the container."""
    found: dict[str, SecretUse] = {}
    merged = place is not None and isinstance(place.node, Sequence) and place.node.merged
    for item in place.items() if place else []:
        use = _short(item, secrets) if item.is_text() else _long(item, secrets)
        if use is None:
            continue
        before = found.get(use.target)
        if before is not None and before.name != use.name and not merged:
            what = f"is mounted to {use.target}, where {before.name} is already"
            item.wrong(what, "Give one of them another target.", "compose.conflict")
        found[use.target] = use
    return list(found.values())


def _short(item: Place, secrets: Mapping[str, str]) -> SecretUse | None:
    name = item.text()
    if name is None or not defined(item, "secret", name, secrets):
        return None
    return SecretUse(name=secrets[name], target=f"{_FOLDER}/{name}")


def _long(item: Place, secrets: Mapping[str, str]) -> SecretUse | None:
    if item.known(("source", "target", "uid", "gid", "mode")) is None:
        return None
    for key in ("uid", "gid", "mode"):
        if given := item.get(key):
            given.ignored("The file is read-only, and whoever runs in the container may read it.")
    source = place.text() if (place := item.get("source")) else None
    if source is None:
        if item.get("source") is None:
            item.wrong("lacks its source", "Say which secret: source: NAME")
        return None
    if not defined(item, "secret", source, secrets):
        return None
    target = place.text() if (place := item.get("target")) else source
    if not target:
        return None
    path = target if target.startswith("/") else f"{_FOLDER}/{target}"
    return SecretUse(name=secrets[source], target=path)
