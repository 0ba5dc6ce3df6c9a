"""What a HAProxy that runs must be told to be as its file says: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from agent.traffic.admin import Server
from agent.traffic.config import endpoint
from agent.traffic.state import SLOTS, Bind, ProxyState, Slot

Servers = Mapping[tuple[str, str], Server]


class _Told(NamedTuple):
    """A server, as far as it is told things. One that is off may be anything else."""

    address: str
    port: int
    weight: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port} at weight {self.weight}"


def differences(state: ProxyState, servers: Servers) -> list[str]:
    """Between the file and the HAProxy that runs, in words; empty: there are none."""
    found = [
        f"{name} of port {bind.port} is {has or 'off'} instead of {shall or 'off'}"
        for bind, name, shall, has in _compared(state, servers)
        if shall != has
    ]
    return found + _ports(state, servers)


def other_ports(state: ProxyState, servers: Servers) -> bool:
    """Whether it listens on others than it shall, or in another mode: no command mends that."""
    return bool(_ports(state, servers))


def commands(state: ProxyState, servers: Servers) -> list[str]:
    """In an order in which there is always somebody to take a request: who gains, gains first."""
    gains: list[str] = []
    rises: list[str] = []
    falls: list[str] = []
    ends: list[str] = []
    for bind, name, shall, has in _compared(state, servers):
        server = f"{state.backend(bind)}/{name}"
        if shall == has:
            continue
        if shall is None:
            ends += [f"set server {server} state maint", f"set server {server} weight 0"]
        elif has is None or shall[:2] != has[:2]:
            gains += [
                f"set server {server} state maint",
                f"set server {server} addr {shall.address} port {shall.port}",
                f"set server {server} weight {shall.weight}",
                f"set server {server} state ready",
            ]
        else:
            order = rises if shall.weight > has.weight else falls
            order.append(f"set server {server} weight {shall.weight}")
    return gains + rises + falls + ends


def _compared(
    state: ProxyState, servers: Servers
) -> Iterator[tuple[Bind, str, _Told | None, _Told | None]]:
    for bind in state.binds:
        for name in SLOTS:
            server = servers.get((state.backend(bind), name))
            if server is not None:
                yield bind, name, _wanted(state.slots.get(name), bind), _seen(server)


def _wanted(slot: Slot | None, bind: Bind) -> _Told | None:
    """None: off."""
    there = endpoint(slot, bind)
    return None if slot is None or there is None else _Told(*there, slot.weight)


def _seen(server: Server) -> _Told | None:
    return None if server.off else _Told(server.address, server.port, server.weight)


def _ports(state: ProxyState, servers: Servers) -> list[str]:
    there = {backend for backend, _ in servers}
    shall = {state.backend(bind) for bind in state.binds}
    lacking = [f"it does not listen at {_port(name)}" for name in sorted(shall - there)]
    return lacking + [f"it listens at {_port(name)}, too" for name in sorted(there - shall)]


def _port(backend: str) -> str:
    """The port that a backend is of, with its mode where that is not HTTP."""
    mark, _, name = backend.partition("-")
    words = {"t": " as TCP", "g": " as gRPC"}
    return f"{name}{words.get(mark, '')}"
