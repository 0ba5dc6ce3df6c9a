"""What services share: the networks, volumes and secrets at the top of the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from agent.protocol.workloads import Subnet
from console.compose.findings import nearest
from console.compose.reading import Place

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
DEFAULT_NETWORK = "default"
_NETWORK = (
    *("name", "external", "driver", "driver_opts", "internal", "ipam", "enable_ipv6"),
    *("enable_ipv4", "attachable", "labels"),
)
_VOLUME = ("name", "external", "driver", "driver_opts", "labels")
_SECRET = (
    *("name", "external", "file", "environment", "labels", "driver", "driver_opts"),
    "template_driver",
)


@dataclass(frozen=True, slots=True)
class NetworkDefinition:
    """A network; `name` is the runtime's."""

    name: str
    external: bool = False
    driver: str | None = None
    driver_options: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    enable_ipv6: bool = False
    subnets: list[Subnet] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class VolumeDefinition:
    """A volume; `name` is the runtime's."""

    name: str
    external: bool = False
    driver: str | None = None
    driver_options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definitions:
    """By the name that services use. A secret is the name of one that the node has."""

    networks: Mapping[str, NetworkDefinition]
    volumes: Mapping[str, VolumeDefinition]
    secrets: Mapping[str, str]


def read_definitions(root: Place, project: str) -> Definitions:
    """All that the file defines; the network "default" is always there."""
    networks = {key: _network(place, project, key) for key, place in _entries(root, "networks")}
    networks.setdefault(DEFAULT_NETWORK, NetworkDefinition(f"{project}_{DEFAULT_NETWORK}"))
    return Definitions(
        networks=networks,
        volumes={key: _volume(place, project, key) for key, place in _entries(root, "volumes")},
        secrets={key: _secret(place, key) for key, place in _entries(root, "secrets")},
    )


def defined(place: Place, kind: str, name: str, known: Collection[str]) -> bool:
    """Whether the file defines `name`; noted if it does not."""
    if name in known:
        return True
    near = nearest(name, known)
    meant = f"Did you mean {near!r}? Else d" if near else "D"
    hint = f"{meant}efine it at the top of the file: {kind}s: {{{name}: {{}}}}"
    place.wrong(f"names the {kind} {name!r}, which the file lacks", hint, "compose.undefined")
    return False


def _entries(root: Place, key: str) -> list[tuple[str, Place]]:
    place = root.get(key)
    if place is None:
        return []
    found = []
    for name, entry in place.entries():
        if name.startswith("x-"):
            continue
        if NAME.fullmatch(name):
            found.append((name, entry))
        else:
            entry.wrong("is no name", "Letters, digits, dots, dashes and underscores, at most 63.")
    return found


def _network(place: Place, project: str, key: str) -> NetworkDefinition:
    name, external = _named(place, _NETWORK, project, key)
    if place.is_null():
        return NetworkDefinition(name)
    if ipv4 := place.get("enable_ipv4"):
        ipv4.unsupported("Leave it out: networks have IPv4.")
    if attachable := place.get("attachable"):
        attachable.ignored("It is for swarms only.")
    _labels(place)
    return NetworkDefinition(
        name,
        external=external,
        driver=_text(place, "driver"),
        driver_options=_options(place),
        internal=_truth(place, "internal"),
        enable_ipv6=_truth(place, "enable_ipv6"),
        subnets=_subnets(place.get("ipam")),
    )


def _subnets(ipam: Place | None) -> list[Subnet]:
    if ipam is None or ipam.known(("driver", "config", "options")) is None:
        return []
    if (driver := ipam.get("driver")) and driver.text() not in (None, "default"):
        driver.unsupported("Take the default one.")
    if options := ipam.get("options"):
        options.unsupported("Leave them out: the default driver has none.")
    found: list[Subnet] = []
    for pool in config.items() if (config := ipam.get("config")) else []:
        if pool.known(("subnet", "gateway", "ip_range", "aux_addresses")) is None:
            continue
        if aux := pool.get("aux_addresses"):
            aux.unsupported("Keep addresses free with ip_range.")
        subnet = _text(pool, "subnet")
        if subnet is None:
            pool.wrong("lacks its subnet", "Write it like subnet: 172.28.0.0/24")
            continue
        gateway, ip_range = _text(pool, "gateway"), _text(pool, "ip_range")
        found.append(Subnet(subnet=subnet, gateway=gateway, ip_range=ip_range))
    return found


def _volume(place: Place, project: str, key: str) -> VolumeDefinition:
    name, external = _named(place, _VOLUME, project, key)
    if place.is_null():
        return VolumeDefinition(name)
    _labels(place)
    return VolumeDefinition(
        name, external=external, driver=_text(place, "driver"), driver_options=_options(place)
    )


def _secret(place: Place, key: str) -> str:
    """Secrets are the node's, so the project's name is no part of theirs."""
    if place.is_null() or place.known(_SECRET) is None:
        return key
    name = _text(place, "name") or key
    for source in ("file", "environment", "driver", "driver_opts", "template_driver"):
        if given := place.get(source):
            hint = (
                f"Secrets lie on the nodes: roost secret set NODE {name}  (then say `external:"
                " true` here)"
            )
            given.unsupported(hint)
    _external(place)
    _labels(place)
    if not NAME.fullmatch(name):
        hint = "Letters, digits, dots, dashes and underscores, at most 63."
        place.wrong(f"has the name {name[:80]!r}, which a secret cannot have", hint)
        return key
    return name


def _named(place: Place, keys: tuple[str, ...], project: str, key: str) -> tuple[str, bool]:
    """The runtime's name of a network or volume, and whether it is someone else's."""
    own = f"{project}_{key}"
    if place.is_null() or place.known(keys) is None:
        return own, False
    external, legacy = _external(place)
    name = _text(place, "name") or legacy
    if external:
        for other in keys:
            if other not in ("name", "external") and (given := place.get(other)):
                hint = "Leave it out: what is external is made by someone else, as it is."
                given.wrong("does not go with external: true", hint, "compose.conflict")
    return name or (key if external else own), external


def _external(place: Place) -> tuple[bool, str | None]:
    """Whether, and the name in the old form `external: {name: ...}`."""
    external = place.get("external")
    if external is None:
        return False, None
    if external.is_text():
        return external.truth() or False, None
    if external.known(("name",)) is None:
        return False, None
    return True, _text(external, "name")


def _options(place: Place) -> dict[str, str]:
    options = place.get("driver_opts")
    if options is None:
        return {}
    return {key: word for key, value in options.entries() if (word := value.word()) is not None}


def _labels(place: Place) -> None:
    if labels := place.get("labels"):
        labels.ignored("Labels are put on containers only.")


def _text(place: Place, key: str) -> str | None:
    found = place.get(key)
    return found.text() if found else None


def _truth(place: Place, key: str) -> bool:
    found = place.get(key)
    return bool(found and found.truth())
