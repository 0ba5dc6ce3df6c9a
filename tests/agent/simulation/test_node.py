"""One simulated node: figures, faults, history, and the real doctor over it."""

from __future__ import annotations

import time

import msgspec
import pytest

from agent.live.history import Resolution
from agent.protocol.live import Sections
from agent.simulation.catalogue import KINDS, NodeKind
from agent.simulation.node import SimulatedNode
from agent.simulation.plan import Fault, NodePlan, plan_fleet

NOW = int(time.time())  # the doctor asks how old an XID is


def planned(*, fault: Fault | None = None, kind: str = "t4") -> NodePlan:
    """A node of the demo with that fault, or without one and of that kind."""
    return next(
        plan
        for plan in plan_fleet(24)
        if plan.fault == fault and (fault is not None or plan.kind.name == kind)
    )


async def started(plan: NodePlan, *, change: float = 1.0) -> SimulatedNode:
    node = SimulatedNode(plan, change=change, at=NOW)
    await node.start()
    return node


def figures(sections: Sections) -> Sections:
    """The parts of the live picture that change by themselves."""
    return {name: sections[name] for name in ("gpus", "processes", "containers")}


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
async def test_a_node_without_a_fault_is_well_and_says_that_it_is_simulated(kind: str) -> None:
    simulated = await started(planned(kind=kind))
    node = simulated.node
    facts, report = node.facts, await node.examine()
    assert report.findings == []
    assert facts.agent.simulated
    assert (facts.gpu_stack.state, facts.gpu_stack.source) == ("simulated", "simulated")
    assert facts.runtime.state == "simulated"
    assert "simulated" in (facts.host.machine or "")
    assert len(facts.gpus) == simulated.plan.kind.gpu_count
    assert {sample.state for sample in node.sampler.latest.gpus} == {"ok"}


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("driver-mismatch", {"gpu.driver_mismatch"}),
        ("gpu-lost", {"gpu.lost", "gpu.xid.79"}),
        ("xid-storm", {"gpu.xid.13", "gpu.xid.31", "gpu.xid.43"}),
        ("disk-full", {"disk.nearly_full"}),
        ("no-gpu", set()),
    ],
)
async def test_the_real_doctor_finds_the_fault(fault: Fault, codes: set[str]) -> None:
    simulated = await started(planned(fault=fault))
    report = await simulated.node.examine()
    assert {finding.code for finding in report.findings} == codes
    live = simulated.node.events.sections["findings"]
    assert {record["code"] for record in live.values()} == codes


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
async def test_what_is_unknown_has_a_reason(kind: str) -> None:
    node = (await started(planned(kind=kind))).node
    for told in (*node.facts.gpus, *node.sampler.latest.gpus, *node.sampler.health):
        plain = msgspec.to_builtins(told)
        missing = {name for name, value in plain.items() if value is None} - {"reason"}
        assert missing == set(plain["unknown"])


async def test_a_lost_gpu_tells_nothing_and_its_neighbour_goes_on() -> None:
    simulated = await started(planned(fault="gpu-lost"))
    well, lost = simulated.node.sampler.latest.gpus
    assert (well.state, lost.state) == ("ok", "lost")
    assert well.utilization_percent is not None
    assert lost.utilization_percent is None
    assert lost.unknown["utilization_percent"] == "gpu_lost"
    assert {p.gpu_uuid for p in simulated.node.sampler.latest.processes} == {well.uuid}


async def test_a_storm_goes_on() -> None:
    simulated = await started(planned(fault="xid-storm"))
    before = len(simulated.node.sampler.xids)
    for second in range(1, 31):
        await simulated.step(NOW + second)
    assert before > 10
    assert len(simulated.node.sampler.xids) == before + 2


async def test_the_same_seed_and_time_give_the_same_figures() -> None:
    one, same = await started(planned()), await started(planned())
    for second in (1, 2, 3):
        await one.step(NOW + second)
    await same.step(NOW + 3)
    assert figures(one.node.events.sections) == figures(same.node.events.sections)


async def test_a_due_node_changes_and_a_node_that_is_not_due_does_not() -> None:
    moving, still = await started(planned()), await started(planned(), change=0.0)
    first = figures(moving.node.events.sections), figures(still.node.events.sections)
    for second in range(1, 6):
        await moving.step(NOW + second)
        await still.step(NOW + second)
    assert figures(moving.node.events.sections) != first[0]
    assert figures(still.node.events.sections) == first[1]


async def test_a_stopped_detector_leaves_its_gpu_idle() -> None:
    simulated = await started(planned())
    busy = simulated.node.sampler.latest
    await simulated.runtime.act("detector-0", "stop")
    await simulated.step(NOW + 1)
    idle = simulated.node.sampler.latest
    assert {process.gpu_uuid for process in idle.processes} == {busy.gpus[1].uuid}
    assert idle.gpus[0].utilization_percent == 0
    assert idle.gpus[1].utilization_percent != 0
    stopped = simulated.node.events.sections["containers"]
    assert [r["state"] for r in stopped.values() if r["name"] == "detector-0"] == ["exited"]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
async def test_processes_belong_to_running_containers_and_fit_their_gpu(kind: str) -> None:
    simulated = await started(planned(kind=kind))
    latest = simulated.node.sampler.latest
    running = {c.id for c in simulated.runtime.containers().values() if c.state == "running"}
    assert latest.processes
    assert {process.container for process in latest.processes} <= running
    for sample in latest.gpus:
        held = sum(
            process.memory_used_bytes or 0
            for process in latest.processes
            if process.gpu_uuid == sample.uuid
        )
        assert sample.memory_used_bytes is not None
        assert sample.memory_total_bytes is not None
        assert held <= sample.memory_used_bytes <= sample.memory_total_bytes


@pytest.mark.parametrize("change", [1.0, 0.2])
async def test_the_computed_history_is_what_was_published(change: float) -> None:
    simulated = await started(planned(), change=change)
    sampler = simulated.node.sampler
    uuid = simulated.node.facts.gpus[0].uuid
    published = []
    for second in range(NOW + 20, NOW + 40):
        await simulated.step(second)
        published.append(sampler.latest.gpus[0].utilization_percent)
    (track,) = sampler.history.series("1s", metric="utilization_percent", subject=uuid, count=20)
    # It ends with the last change; before the first change here nothing had been published yet.
    lag = NOW + 39 - simulated.at
    assert track.values[lag + 5 :] == published[5 : 20 - lag]


@pytest.mark.parametrize(("resolution", "count"), [("1s", 600), ("1m", 24 * 60)])
async def test_the_history_is_whole_from_the_start(resolution: Resolution, count: int) -> None:
    node = (await started(planned())).node
    tracks = node.sampler.history.series(resolution)
    subjects = {"host", *(gpu.uuid for gpu in node.facts.gpus)}
    assert {track.subject for track in tracks} == subjects
    assert {len(track.values) for track in tracks} == {count}
    assert all(None not in track.values for track in tracks)


def test_every_board_has_a_label_of_its_own() -> None:
    def label(kind: NodeKind) -> tuple[str, str]:
        return kind.label, kind.board.name if kind.board else ""

    assert len({label(kind)[0] for kind in KINDS}) == len({label(kind)[1] for kind in KINDS})
