"""Whether a published port can be had, in the network that the proxies are in."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from agent.containers.inside_http import socket_in
from agent.protocol.containers import Container
from agent.traffic.problems import port_taken
from agent.traffic.state import Bind

OWN_NETWORK = Path("/proc/self/ns/net")
_PUBLISHED = re.compile(r":(\d+)->")


def has_ipv6() -> bool:
    """Whether this kernel has IPv6."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


async def check_free(
    workload: str, bind: Bind, containers: Iterable[Container], *, network: Path
) -> None:
    """Whether nobody has it now. Raises ProblemError `traffic.port_taken`."""
    why: str | None = await asyncio.to_thread(_why_not, bind, network)
    if why is None:
        return
    for container in containers:
        if container.state == "running" and str(bind.port) in _published(container):
            why = f"the container {container.name} publishes it"
    raise port_taken(workload, bind.port, why)


def _published(container: Container) -> list[str]:
    return [port for each in container.ports for port in _PUBLISHED.findall(each)]


def _why_not(bind: Bind, network: Path) -> str | None:
    families = [socket.AF_INET6] if ":" in bind.host_ip else [socket.AF_INET]
    if not bind.host_ip and has_ipv6():
        families.append(socket.AF_INET6)
    for family in families:
        try:
            with _socket(network, family) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind((bind.host_ip, bind.port))
                tried.listen(1)
        except OSError as error:
            if error.errno != errno.EACCES:  # a low port, which the proxy may have
                return os.strerror(error.errno).lower() if error.errno else str(error)
    return None


def _socket(network: Path, family: socket.AddressFamily) -> socket.socket:
    if network == OWN_NETWORK:  # root alone may enter a network, also its own
        return socket.socket(family, socket.SOCK_STREAM)
    return socket_in(network, family)
