"""Under which addresses other nodes of the site can reach this one."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteGrant

SIOCGIFADDR = 0x8915  # linux/sockios.h
# Bridges of container runtimes and of virtual machines: the same address on every node.
INSIDE = re.compile(r"lo|docker\d+|br-[0-9a-f]{12}|veth.*|virbr.*|cni.*|podman\d+|lxc.*")
INET6 = Path("/proc/net/if_inet6")
GLOBAL_SCOPE = "00"
ADDRESSES_LIMIT = 16


def reachable(host: str, port: int) -> list[str]:
    """`host:port` of a socket that is bound to `host`; where that is every address, each of them.

    Without loopback, link-local addresses and the bridges of container runtimes. May block.
    """
    if not ipaddress.ip_address(host).is_unspecified:
        return [_with_port(host, port)]
    found = list(_four())
    if ":" in host:
        found += _six()
    return [_with_port(each, port) for each in found[:ADDRESSES_LIMIT]]


def check_addresses(grant: SiteGrant) -> None:
    """Raises ProblemError `request.invalid`: one of them is no address of a node."""
    for address in grant.addresses:
        host, _, port = address.rpartition(":")
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host.strip("[]"))
            if 0 < int(port) < 2**16:
                continue
        raise ProblemError(
            "request.invalid",
            f"{address} is no address of a node: digits and a port",
            params={"address": address},
            hint="Take the grant as the seed answered it.",
        )


def _four() -> Iterator[str]:
    """The first IPv4 address of each interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if INSIDE.fullmatch(name):
                continue
            with contextlib.suppress(OSError):  # it has none
                asked = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(asking, SIOCGIFADDR, asked)
                yield socket.inet_ntoa(answer[20:24])


def _six() -> Iterator[str]:
    """The IPv6 addresses that are good beyond one cable."""
    with contextlib.suppress(OSError):
        for line in INET6.read_text(encoding="ascii").splitlines():
            digits, _, _, scope, _, name = line.split()
            if scope == GLOBAL_SCOPE and not INSIDE.fullmatch(name):
                yield str(ipaddress.IPv6Address(bytes.fromhex(digits)))


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
