"""What the proxy of one workload shall be: all of it is in its configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from agent.protocol.workloads import Mode

Json = Mapping[str, Any]
SlotName = Literal["stable", "candidate", "spare1", "spare2"]
# Of the names of backends, which tell how a proxy that runs treats a port.
_MARKS: Mapping[Mode, str] = {"http": "b", "tcp": "t", "grpc": "g"}
SLOTS: tuple[SlotName, ...] = ("stable", "candidate", "spare1", "spare2")


class Bind(msgspec.Struct, kw_only=True, frozen=True, order=True):
    """A published port that the proxy listens on. `host_ip` "": on all addresses."""

    port: int
    host_ip: str = ""

    @property
    def name(self) -> str:
        """What the proxy calls it: "all-8080"."""
        return f"{self.host_ip or 'all'}-{self.port}"


class FrontPort(msgspec.Struct, kw_only=True, frozen=True):
    """A published port, and which port of the container it leads to."""

    bind: Bind
    target: int
    mode: Mode = "http"


class Front(msgspec.Struct, kw_only=True, frozen=True):
    """What of a workload the proxy publishes in its place."""

    ports: tuple[FrontPort, ...]

    @property
    def binds(self) -> frozenset[Bind]:
        """What it listens on."""
        return frozenset(each.bind for each in self.ports)

    @property
    def modes(self) -> dict[str, Mode]:
        """Of its ports that are not HTTP, by the name of the bind."""
        return {each.bind.name: each.mode for each in self.ports if each.mode != "http"}

    @property
    def by_port(self) -> dict[int, Mode]:
        """The same, by published port."""
        return {each.bind.port: each.mode for each in self.ports if each.mode != "http"}

    @property
    def shown(self) -> str:
        """Its ports for people: "8080, 8081"."""
        return ", ".join(str(bind.port) for bind in sorted(self.binds))


class Target(msgspec.Struct, kw_only=True, frozen=True):
    """A container that shall get this share of new requests, in the weights' proportion."""

    container: str
    front: Front
    weight: int  # 0 to 100


class Slot(msgspec.Struct, kw_only=True, frozen=True):
    """A place for a container in the configuration, taken."""

    container: str
    address: str  # "": it does not run
    ports: dict[str, int]  # the container's, by the name of the bind
    weight: int


class ProxyState(msgspec.Struct, kw_only=True, frozen=True):
    """All that one proxy is told."""

    workload: str
    binds: tuple[Bind, ...]
    slots: dict[SlotName, Slot] = {}
    modes: dict[str, Mode] = {}  # of ports that are not HTTP, by the name of the bind

    def mode(self, bind: Bind) -> Mode:
        """What goes over a port."""
        return self.modes.get(bind.name, "http")

    @property
    def by_port(self) -> dict[int, Mode]:
        """Of published ports that are not HTTP."""
        return {each.port: self.mode(each) for each in self.binds if each.name in self.modes}

    def backend(self, bind: Bind) -> str:
        """What the proxy calls the servers of a port: another mode is another backend."""
        return f"{_MARKS[self.mode(bind)]}-{bind.name}"


def is_tcp(backend: str) -> bool:
    """Whether a backend of that name is of a TCP port."""
    return backend.startswith(f"{_MARKS['tcp']}-")


def front_of(ports: Sequence[FrontPort]) -> Front:
    """A front with its ports in order, so that equal ones are equal."""
    return Front(ports=tuple(sorted(ports, key=lambda each: (each.bind, each.target))))
