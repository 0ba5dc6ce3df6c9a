"""The configuration file: what HAProxy takes, and what is read back from it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.workloads import Mode
from agent.traffic.admin import Server
from agent.traffic.config import read, rendered
from agent.traffic.state import SLOTS, Bind, ProxyState, Slot
from agent.traffic.telling import commands, differences, other_ports

BINDS = (Bind(port=8080), Bind(port=8081, host_ip="127.0.0.1"))

slots = st.builds(
    Slot,
    container=st.sampled_from(["a" * 64, "b" * 64]),
    address=st.sampled_from(["172.17.0.2", "172.17.0.3", "fd00::2", ""]),
    ports=st.fixed_dictionaries({each.name: st.integers(1, 65535) for each in BINDS}),
    weight=st.integers(0, 100),
)
states = st.builds(
    ProxyState,
    workload=st.just("web"),
    binds=st.sampled_from([BINDS, BINDS[:1]]),
    slots=st.dictionaries(st.sampled_from(SLOTS), slots),
    modes=st.dictionaries(
        st.sampled_from([each.name for each in BINDS]), st.sampled_from(["grpc", "tcp"])
    ),
)


@given(state=states, ipv6=st.booleans())
def test_what_is_written_is_read_back(state: ProxyState, *, ipv6: bool) -> None:
    text = rendered(state, folder="/roost", ipv6=ipv6)
    written = read(text)
    assert written is not None
    assert (written.state, written.by_hand) == (state, False)
    changed = read(text.replace("maxconn", "maxconns"))
    assert changed is not None
    assert (changed.state, changed.by_hand) == (state, True)


@pytest.mark.parametrize("text", ["", "global\n", "# Written\n# sha256 00\n# roost {\n"])
def test_what_roost_did_not_write_is_nothing(text: str) -> None:
    assert read(text) is None


class Running:
    """A HAProxy as far as it is told addresses, weights and states."""

    def __init__(self, state: ProxyState) -> None:
        self.servers: dict[tuple[str, str], Server] = {
            (state.backend(bind), name): Server(
                address="192.0.2.1", port=1, weight=0, off=True, up=False, checked=False
            )
            for bind in state.binds
            for name in SLOTS
        }

    def tell(self, command: str) -> None:
        _, _, server, *rest = command.split()
        backend, _, name = server.partition("/")
        told: dict[str, Any] = {}
        match rest:
            case ["addr", address, "port", port]:
                told = {"address": address, "port": int(port)}
            case ["weight", weight]:
                told = {"weight": int(weight)}
            case ["state", word]:
                told = {"off": {"maint": True, "ready": False}[word]}
        before = self.servers[backend, name]
        self.servers[backend, name] = msgspec.structs.replace(before, **told)

    def shares(self) -> int:
        """How much weight there is to give requests to."""
        return sum(each.weight for each in self.servers.values() if not each.off)


@given(before=states, after=states)
def test_what_is_told_makes_it_so(before: ProxyState, after: ProxyState) -> None:
    after = msgspec.structs.replace(before, slots=after.slots)
    running = Running(before)
    for state in (before, after):
        for command in commands(state, running.servers):
            running.tell(command)
        assert differences(state, running.servers) == []
        assert commands(state, running.servers) == []


@given(steps=st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_there_is_always_somebody_to_take_a_request(steps: list[int]) -> None:
    def at(weight: int) -> ProxyState:
        ports = {BINDS[0].name: 80}
        return ProxyState(
            workload="web",
            binds=BINDS[:1],
            slots={
                "stable": Slot(container="a", address="10.0.0.1", ports=ports, weight=100 - weight),
                "candidate": Slot(container="b", address="10.0.0.2", ports=ports, weight=weight),
            },
        )

    running = Running(at(0))
    for command in commands(at(0), running.servers):
        running.tell(command)
    for weight in steps:
        for command in commands(at(weight), running.servers):
            running.tell(command)
            assert running.shares() >= 100


def test_another_mode_is_another_backend() -> None:
    before = ProxyState(workload="web", binds=BINDS)
    running = Running(before)
    assert not other_ports(before, running.servers)
    after = msgspec.structs.replace(before, modes={BINDS[0].name: "tcp"})
    assert other_ports(after, running.servers)
    assert differences(after, running.servers) == [
        "it does not listen at all-8080 as TCP",
        "it listens at all-8080, too",
    ]


MODES: list[dict[str, Mode]] = [
    {},
    {BINDS[0].name: "grpc"},
    {BINDS[0].name: "tcp", BINDS[1].name: "grpc"},
]


@pytest.mark.real("haproxy")
@pytest.mark.parametrize("modes", MODES)
@pytest.mark.parametrize("ipv6", [True, False])
def test_haproxy_takes_it(tmp_path: Path, modes: dict[str, Mode], *, ipv6: bool) -> None:
    ports = {each.name: 80 for each in BINDS}
    state = ProxyState(
        workload="web",
        binds=BINDS,
        slots={
            "stable": Slot(container="a", address="172.17.0.2", ports=ports, weight=90),
            "candidate": Slot(container="b", address="fd00::2", ports=ports, weight=10),
            "spare1": Slot(container="c", address="", ports=ports, weight=5),
        },
        modes=modes,
    )
    file = tmp_path / "haproxy.cfg"
    file.write_text(rendered(state, folder=str(tmp_path), ipv6=ipv6))
    checked = subprocess.run(
        ["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
