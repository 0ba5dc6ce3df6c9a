"""What the proxy of one workload shall be: all of it is in its configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Json = Mapping[str, Any]
SlotName = Literal["stable", "candidate", "spare1", "spare2"]
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


class Front(msgspec.Struct, kw_only=True, frozen=True):
    """What of a workload the proxy publishes in its place."""

    ports: tuple[FrontPort, ...]

    @property
    def binds(self) -> frozenset[Bind]:
        """What it listens on."""
        return frozenset(each.bind for each in self.ports)

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


def front_of(ports: Sequence[FrontPort]) -> Front:
    """A front with its ports in order, so that equal ones are equal."""
    return Front(ports=tuple(sorted(ports, key=lambda each: (each.bind, each.target))))
