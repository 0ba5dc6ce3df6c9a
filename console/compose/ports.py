"""`ports` of a service, in both forms."""

from __future__ import annotations

import ipaddress
import re

from agent.protocol.workloads import Port
from console.compose.reading import Place

_LONG = ("target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
_PROTOCOLS = ("tcp", "udp", "sctp")
_SHORT = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[^:\[\]]*):)?(?P<published>[0-9-]*):)?"
    r"(?P<target>[0-9-]+)(?:/(?P<protocol>[a-z]+))?"
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HINT = 'Write "8080:80", "127.0.0.1:8080:80/udp" or a range of both: "9000-9010:9000-9010".'
# A range of more is a mistake, or would take a minute to publish.
RANGE_LIMIT = 4096


def read_ports(place: Place | None) -> list[Port]:
    """All ports that are to be published."""
    if place is None:
        return []
    found: list[Port] = []
    for item in place.items():
        for port in _short(item) if item.is_text() else _long(item):
            if port not in found:  # merged files say the same twice
                found.append(port)
    return found


def see_published_once(by_service: list[tuple[str, Place | None, list[Port]]]) -> None:
    """Note ports that two services publish: the second could not start."""
    holders: dict[tuple[int, str], list[tuple[str, str]]] = {}
    for service, place, ports in by_service:
        for port in ports:
            if port.published is None or place is None:
                continue
            others = holders.setdefault((port.published, port.protocol), [])
            for ip, other in others:
                if ip == port.host_ip or {ip, port.host_ip} & {"", "0.0.0.0", "::"}:  # noqa: S104
                    what = f"publishes port {port.published}, which {other} publishes already"
                    place.wrong(what, "Publish it on another port.", "compose.conflict")
                    break
            others.append((port.host_ip, service))


def _short(item: Place) -> list[Port]:
    text = item.word()
    if text is None:
        return []
    match = _SHORT.fullmatch(text)
    if match is None:
        item.wrong(f"is {text[:60]!r}, which is no port", _HINT)
        return []
    protocol = match["protocol"] or "tcp"
    ip = (match["ip"] or "").strip("[]")
    return _ports(item, match["target"], match["published"] or "", ip, protocol)


def _long(item: Place) -> list[Port]:
    if item.known(_LONG) is None:
        return []
    target = item.get("target")
    if target is None:
        item.wrong("lacks its target", "Say which port of the container it is: target: 80")
        return []
    if mode := item.get("mode"):
        mode.one_of(("host", "ingress"))
    protocol = item.get("protocol")
    texts = [place.word() if (place := item.get(key)) else "" for key in ("target", "published")]
    ip = place.text() if (place := item.get("host_ip")) else ""
    word = protocol.text() if protocol else "tcp"
    if texts[0] is None or texts[1] is None or ip is None or word is None:
        return []
    return _ports(item, texts[0], texts[1], ip, word)


def _ports(item: Place, target: str, published: str, ip: str, protocol: str) -> list[Port]:
    if protocol not in _PROTOCOLS:
        item.wrong(f"has the protocol {protocol!r}", f"It may be {', '.join(_PROTOCOLS)}.")
        return []
    if ip and not _is_address(ip):
        item.wrong(f"has {ip[:60]!r}, which is no address of the node", _HINT)
        return []
    inside, outside = _range(target), _range(published) if published else None
    if inside is None or (published and outside is None):
        item.wrong("has a port that is not from 1 to 65535", _HINT)
        return []
    if outside is not None and len(outside) != len(inside):
        if len(inside) == 1:
            hint = "Name the one that you want: it would be another one after each start."
            item.unsupported(hint, f"leaves open which of {published} is taken")
        else:
            item.wrong(f"maps {len(outside)} ports to {len(inside)}", _HINT)
        return []
    if len(inside) > RANGE_LIMIT:
        item.wrong(f"is a range of {len(inside)} ports", f"{RANGE_LIMIT} at most.")
        return []
    return [
        Port(
            target=port,
            published=outside[index] if outside is not None else None,
            host_ip=ip,
            protocol="udp" if protocol == "udp" else "sctp" if protocol == "sctp" else "tcp",
        )
        for index, port in enumerate(inside)
    ]


def _range(text: str) -> range | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1) if 1 <= first <= last <= 65535 else None


def _is_address(text: str) -> bool:
    """A zone behind it may be of any letters to Python."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
