"""Which strategy is chosen, and why, for each thing that two containers would fight over."""

from __future__ import annotations

from typing import Any

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Strategy
from agent.traffic.state import Bind, Front, FrontPort, front_of
from agent.workloads.recipe import Recipe
from agent.workloads.records import OldContainer, Part
from agent.workloads.strategies import Memory, choose_strategy, downtime

NOTHING_SHARED = "they share no port, no address and no volume"
STOPS, STARTS = "stop-then-start", "start-then-stop"


def recipe(networks: dict[str, Any] | None = None, **host: Any) -> Recipe:
    return Recipe(image="sha256:1", body={"HostConfig": host}, networks=networks or {})


def part(
    new: Recipe,
    old: Recipe | None,
    *,
    runs: bool = True,
    front: Front | None = None,
    old_front: Front | None = None,
    strategy: Strategy = "stop-then-start",
) -> Part:
    """`front`: what a proxy publishes of it."""
    before = None
    if old is not None:
        before = OldContainer(id="1", running=runs, healthy="none", recipe=old, front=old_front)
    return Part(name="web", recipe=new, strategy=strategy, old=before, front=front)


def port(published: str, inside: str = "80/tcp") -> dict[str, Any]:
    return {inside: [{"HostIp": "", "HostPort": published}]}


def fixed(**addresses: str) -> dict[str, Any]:
    return {"cameras": {"IPAMConfig": addresses}}


def bind(source: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": "/data", "ReadOnly": read_only}


PLAIN = recipe()
CASES = [
    ("no old one", PLAIN, None, STOPS, "nothing runs under that name"),
    ("nothing shared", PLAIN, PLAIN, STARTS, NOTHING_SHARED),
    # ports
    (
        "the same port",
        recipe(PortBindings=port("8080")),
        recipe(PortBindings=port("8080", "9000/tcp")),
        STOPS,
        "both would need port 8080/tcp",
    ),
    (
        "the same number of another protocol",
        recipe(PortBindings=port("8080")),
        recipe(PortBindings=port("8080", "80/udp")),
        STARTS,
        NOTHING_SHARED,
    ),
    (
        "another port",
        recipe(PortBindings=port("8080")),
        recipe(PortBindings=port("8081")),
        STARTS,
        NOTHING_SHARED,
    ),
    (
        "any port",
        recipe(PortBindings=port("0")),
        recipe(PortBindings=port("0")),
        STARTS,
        NOTHING_SHARED,
    ),
    (
        "any port, unsaid",
        recipe(PortBindings=port("")),
        recipe(PortBindings=port("")),
        STARTS,
        NOTHING_SHARED,
    ),
    # networks
    (
        "the host's network",
        recipe(NetworkMode="host"),
        recipe(NetworkMode="host"),
        STOPS,
        "both would need the host's network",
    ),
    (
        "into the host's network",
        recipe(NetworkMode="host"),
        recipe(NetworkMode="bridge"),
        STOPS,
        "both would need the host's network",
    ),
    (
        "out of the host's network",
        recipe(NetworkMode="bridge"),
        recipe(NetworkMode="host"),
        STOPS,
        "both would need the host's network",
    ),
    (
        "another workload's network",
        recipe(NetworkMode="service:vpn"),
        PLAIN,
        STOPS,
        "both would need the ports of the network that they share",
    ),
    (
        "another container's network",
        recipe(NetworkMode="container:vpn"),
        PLAIN,
        STOPS,
        "both would need the ports of the network that they share",
    ),
    (
        "a fixed address",
        recipe(fixed(IPv4Address="10.0.0.7")),
        recipe(fixed(IPv4Address="10.0.0.7")),
        STOPS,
        "both would need address 10.0.0.7",
    ),
    (
        "a fixed address of version 6",
        recipe(fixed(IPv6Address="fd00::7")),
        recipe(fixed(IPv6Address="fd00::7")),
        STOPS,
        "both would need address fd00::7",
    ),
    (
        "another fixed address",
        recipe(fixed(IPv4Address="10.0.0.7")),
        recipe(fixed(IPv4Address="10.0.0.8")),
        STARTS,
        NOTHING_SHARED,
    ),
    # volumes
    (
        "a folder that both write",
        recipe(Mounts=[bind("/data")]),
        recipe(Mounts=[bind("/data")]),
        STOPS,
        "both would write /data",
    ),
    (
        "by hand, with -v",
        recipe(Binds=["/data:/data"]),
        recipe(Binds=["/data:/data:rw,z"]),
        STOPS,
        "both would write /data",
    ),
    (
        "one of them only reads",
        recipe(Mounts=[bind("/data", read_only=True)]),
        recipe(Mounts=[bind("/data")]),
        STARTS,
        NOTHING_SHARED,
    ),
    (
        "one of them only reads, with -v",
        recipe(Binds=["/data:/data:ro,z"]),
        recipe(Binds=["/data:/data"]),
        STARTS,
        NOTHING_SHARED,
    ),
    (
        "anonymous volumes are each one's own",
        recipe(Mounts=[{"Type": "volume", "Target": "/data"}]),
        recipe(Mounts=[{"Type": "volume", "Target": "/data"}]),
        STARTS,
        NOTHING_SHARED,
    ),
    # what weighs most is told
    (
        "a port and a volume",
        recipe(PortBindings=port("8080"), Mounts=[bind("/data")]),
        recipe(PortBindings=port("8080"), Mounts=[bind("/data")]),
        STOPS,
        "both would need port 8080/tcp",
    ),
]


@pytest.mark.parametrize(
    ("new", "old", "strategy", "why"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_the_one_that_loses_least(new: Recipe, old: Recipe | None, strategy: str, why: str) -> None:
    assert choose_strategy(None, part(new, old), memory_for_both=None) == (strategy, why)


def test_one_that_does_not_run_is_in_nobodys_way() -> None:
    stopped = part(PLAIN, PLAIN, runs=False)
    chosen = choose_strategy(None, stopped, memory_for_both=None)
    assert chosen == (STOPS, "nothing runs under that name")


def test_memory_of_a_gpu_is_a_reason_and_no_refusal() -> None:
    """It is measured now, and may be otherwise in a moment: a person may know better."""
    full = Memory("GPU 0 has too little free memory for both", known=True)
    two = part(PLAIN, PLAIN)
    assert choose_strategy(None, two, memory_for_both=full) == (STOPS, full.why)
    chosen = choose_strategy("start-then-stop", two, memory_for_both=full)
    assert chosen == (STARTS, "asked for")


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [pytest.param(*case[1:3], case[4], id=case[0]) for case in CASES if case[2] is not None],
)
def test_what_is_asked_for_is_taken_where_it_can_work(new: Recipe, old: Recipe, why: str) -> None:
    """Two that write one folder can; two with one port cannot, and the refusal says what to use."""
    two = part(new, old)
    assert choose_strategy("stop-then-start", two, memory_for_both=None).why == "asked for"
    if not why.startswith("both would need"):
        chosen = choose_strategy("start-then-stop", two, memory_for_both=None)
        assert chosen == (STARTS, "asked for")
        return
    with pytest.raises(ProblemError) as refused:
        choose_strategy("start-then-stop", two, memory_for_both=None)
    assert refused.value.code == "deploy.strategy"
    assert refused.value.detail == f"start-then-stop cannot work here: {why}"
    assert STOPS in (refused.value.hint or "")


FRONT = front_of([FrontPort(bind=Bind(port=8080), target=80)])


def test_one_behind_a_proxy() -> None:
    """Its containers publish nothing, so that both can run; what they would fight over stays."""
    both = part(PLAIN, PLAIN, front=FRONT, old_front=FRONT)
    chosen = choose_strategy(None, both, memory_for_both=None)
    assert chosen == ("weighted", "it has a proxy, and both can run at once")
    unknown = Memory("how much memory of GPU 0 is free is not known", known=False)
    assert choose_strategy(None, both, memory_for_both=unknown) == (STOPS, unknown.why)
    assert choose_strategy("weighted", both, memory_for_both=unknown).strategy == "weighted"
    full = Memory("GPU 0 has too little free memory for both", known=True)
    fixed_address = recipe(fixed(IPv4Address="10.0.0.7"))
    for two, memory, why in (
        (both, full, full.why),
        (
            part(fixed_address, fixed_address, front=FRONT, old_front=FRONT),
            None,
            "both would need address 10.0.0.7",
        ),
        (part(PLAIN, PLAIN), None, "a pin leaves its ports where they are"),
    ):
        with pytest.raises(ProblemError, match=why) as refused:
            choose_strategy("weighted", two, memory_for_both=memory)
        assert refused.value.code == "deploy.strategy"
    # A port that its proxy has is taken for one that leaves the proxy, too.
    leaves = part(recipe(PortBindings=port("8080")), PLAIN, old_front=FRONT)
    chosen = choose_strategy(None, leaves, memory_for_both=None)
    assert chosen == (STOPS, "both would need port 8080/tcp")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (part(PLAIN, PLAIN), "until the new one answers"),
        (
            part(PLAIN, PLAIN, strategy="start-then-stop"),
            "none: the old container stops once the new one is well",
        ),
        (
            part(recipe(PortBindings=port("8081")), PLAIN, strategy="start-then-stop"),
            "that find the new port",
        ),
        (part(PLAIN, PLAIN, runs=False), "none: nothing runs under that name"),
        (part(PLAIN, None), "none: nothing runs under that name"),
        (
            part(PLAIN, PLAIN, front=FRONT, old_front=FRONT, strategy="weighted"),
            "none: new requests go over to the new container",
        ),
        (
            part(PLAIN, recipe(PortBindings=port("8080")), front=FRONT, strategy="weighted"),
            "once, planned: from the stop of the old container, which publishes port 8080",
        ),
        (part(PLAIN, PLAIN, old_front=FRONT), "once, planned: from the end of its proxy"),
    ],
)
def test_what_its_users_notice(one: Part, words: str) -> None:
    assert words in downtime(one)
