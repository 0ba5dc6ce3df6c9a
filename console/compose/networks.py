"""`networks` and `network_mode` of a service."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence

from agent.protocol.workloads import NetworkUse
from console.compose.definitions import DEFAULT_NETWORK, NAME, NetworkDefinition, defined
from console.compose.order import there
from console.compose.reading import Place

_KEYS = (
    *("aliases", "ipv4_address", "ipv6_address", "priority", "link_local_ips", "mac_address"),
    *("driver_opts", "gw_priority", "interface_name"),
)
_UNSUPPORTED = ("link_local_ips", "mac_address", "driver_opts", "gw_priority", "interface_name")
_MODES = ("host", "none", "bridge")


def read_networks(
    service: Place,
    definitions: Mapping[str, NetworkDefinition],
    *,
    services: Collection[str],
    off: Mapping[str, Sequence[str]],
) -> tuple[list[NetworkUse], str | None]:
    """The networks that the service is in, or else its network mode."""
    networks, mode = service.get("networks"), service.get("network_mode")
    if mode is not None:
        if networks is not None:
            hint = "Keep one of them."
            mode.wrong("does not go with networks", hint, "compose.conflict")
        return [], _mode(mode, services, off)
    if networks is None:
        return [_use(service.name, DEFAULT_NETWORK, None, definitions)], None
    found: list[NetworkUse] = []
    if networks.is_list():
        for item in networks.items():
            name = item.text()
            if name is not None and defined(item, "network", name, definitions):
                found.append(_use(service.name, name, None, definitions))
    else:
        for name, place in networks.entries():
            if defined(place, "network", name, definitions):
                found.append(_use(service.name, name, place, definitions))
    return found, None


def _mode(mode: Place, services: Collection[str], off: Mapping[str, Sequence[str]]) -> str | None:
    text = mode.text()
    if text is None or text in _MODES:
        return text
    kind, _, name = text.partition(":")
    if kind == "service" and name:
        return text if there(mode, name, services, off) else None
    if kind == "container" and NAME.fullmatch(name):
        return text
    hint = (
        f"It may be {', '.join(_MODES)}, service:NAME or container:NAME; a network of yours stands"
        " under networks."
    )
    mode.wrong(f"is {text[:60]!r}", hint)
    return None


def _use(
    service: str, key: str, place: Place | None, definitions: Mapping[str, NetworkDefinition]
) -> NetworkUse:
    network = definitions[key]
    use = NetworkUse(
        name=network.name,
        aliases=[service],
        external=network.external,
        driver=network.driver,
        driver_options=dict(network.driver_options),
        internal=network.internal,
        enable_ipv6=network.enable_ipv6,
        subnets=list(network.subnets),
    )
    if place is None or place.is_null() or place.known(_KEYS) is None:
        return use
    if aliases := place.get("aliases"):
        use.aliases = list(dict.fromkeys([service, *aliases.texts()]))
    use.ipv4_address = _address(place.get("ipv4_address"), 4)
    use.ipv6_address = _address(place.get("ipv6_address"), 6)
    if (use.ipv4_address or use.ipv6_address) and not (network.subnets or network.external):
        hint = (
            f"Give it one at the top: networks: {{{key}: {{ipam: {{config: [{{subnet: ...}}]}}}}}}"
        )
        place.wrong("has an address in a network without a subnet", hint, "compose.conflict")
    if priority := place.get("priority"):
        priority.ignored("Networks are connected in the file's order.")
    for other in _UNSUPPORTED:
        if given := place.get(other):
            given.unsupported("Leave it out.")
    return use


def _address(place: Place | None, version: int) -> str | None:
    text = place.text() if place else None
    if text is None or place is None:
        return None
    try:
        if ipaddress.ip_address(text).version == version:
            return text
    except ValueError:
        pass
    place.wrong(f"is {text[:60]!r}, which is no IPv{version} address", "Write one address.")
    return None
