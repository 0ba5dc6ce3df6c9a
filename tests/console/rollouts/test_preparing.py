"""Nodes get the images that they lack before they change: simulated ones, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.archives.indexing import index_archive
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from agent.rules.tables import built_in
from agent.simulation.fleet import SimulatedFleet
from agent.simulation.plan import plan_fleet
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.images.judging import ArchiveJudge
from console.link.client import NodeClient
from console.rollouts.asks import Seen
from console.rollouts.needs import Supplies, look_at
from console.rollouts.parcels import Parcels, remembered
from console.rollouts.preparing import Preparer
from console.rollouts.record import RolloutNode
from console.rollouts.supplies import read_supplies
from tests.archives_made import Made, docker_archive, layer

pytestmark = pytest.mark.timeout(60)

BASE, APP = layer("base", 200_000), layer("app", 20_000)
THERE = "edge/gateway:1.9.0"  # all simulated nodes have it


@pytest.fixture
async def fleet(short_folder: Path) -> AsyncIterator[SimulatedFleet]:
    plans = plan_fleet(2, faults=False)
    async with SimulatedFleet(plans, short_folder, change=0.0, wired=True) as fleet:
        yield fleet


@pytest.fixture
async def clients(fleet: SimulatedFleet) -> AsyncIterator[list[NodeClient]]:
    links = Links({}, owner="maria", timeout=10)
    found = [
        links.client(NodeEntry(name=node.name, address=node.address))
        for node in fleet.listing().nodes
    ]
    yield found
    for client in found:
        await client.close()


def archive(folder: Path, *tags: str, name: str = "app.tar", architecture: str = "amd64") -> Path:
    path = folder / name
    made = [Made([BASE, APP], tags=[tag], architecture=architecture) for tag in tags]
    path.write_bytes(docker_archive(made))
    return path


def supplies_of(*paths: Path) -> Supplies:
    indexes = [index_archive(path) for path in paths]
    return Supplies(Parcels(indexes), ArchiveJudge(indexes, built_in()))


def asked(image: str, *variants: str) -> ApplyRequest:
    workload = Workload(name="web", image=image, variants=[*variants], soak=0.0)
    return ApplyRequest(release="app@1", workloads=[workload])


async def prepared(preparer: Preparer, client: NodeClient, request: ApplyRequest) -> Seen:
    """The last word: it is asked again and again, as a runner does."""
    node = RolloutNode(name=client.name, wave=0, stage="preparing")
    while True:
        seen = await preparer.look(client, node, request)
        if seen.what != "preparing":
            return seen
        await asyncio.sleep(0.01)


async def tags(client: NodeClient) -> set[str]:
    return {tag for image in await client.images() for tag in image.tags}


async def test_what_lacks_is_planned(clients: list[NodeClient], tmp_path: Path) -> None:
    supplies = supplies_of(archive(tmp_path, "edge/app:2"))
    needs = (await look_at(clients[0], asked("edge/app:2"), supplies)).needs
    assert needs.problems == []
    assert [(each.image, each.state) for each in needs.images] == [("edge/app:2", "load")]
    assert needs.send_bytes == len(BASE) + len(APP)
    assert needs.plan.workloads[0].strategy == "stop-then-start"
    # What the node has needs no archive; what nobody has is refused.
    there = (await look_at(clients[0], asked(THERE), None)).needs
    assert (there.problems, there.nothing, there.send_bytes) == ([], True, 0)
    nobody = (await look_at(clients[0], asked("edge/app:3"), supplies)).needs
    assert [problem.code for problem in nobody.problems] == ["image.not_found"]
    assert (await tags(clients[0])).isdisjoint({"edge/app:2", "edge/app:3"})


async def test_an_archive_for_another_cpu(clients: list[NodeClient], tmp_path: Path) -> None:
    supplies = supplies_of(archive(tmp_path, "edge/app:2", architecture="s390x"))
    needs = (await look_at(clients[0], asked("edge/app:2"), supplies)).needs
    assert [problem.code for problem in needs.problems][:1] == ["archive.platform"]


async def test_of_several_variants_one_goes(clients: list[NodeClient], tmp_path: Path) -> None:
    supplies = supplies_of(
        archive(tmp_path, "edge/app:2-a", name="a.tar"),
        archive(tmp_path, "edge/app:2-b", name="b.tar"),
    )
    request = asked("edge/app:2-a", "edge/app:2-b")
    needs = (await look_at(clients[0], request, supplies)).needs
    assert needs.problems == []
    (needed,) = needs.images
    assert needed.image in ("edge/app:2-a", "edge/app:2-b")
    assert needed.why
    preparer = Preparer("r1", read=lambda: supplies)
    assert (await prepared(preparer, clients[0], request)).what == "prepared"
    assert {"edge/app:2-a", "edge/app:2-b"} & await tags(clients[0]) == {needed.image}
    await preparer.stop()


async def test_it_gets_what_it_lacks_and_nothing_twice(
    clients: list[NodeClient], tmp_path: Path
) -> None:
    supplies = supplies_of(archive(tmp_path, "edge/app:2", "edge/other:1"))
    preparer = Preparer("r1", read=lambda: supplies)
    both = [prepared(preparer, client, asked("edge/app:2")) for client in clients]
    assert [seen.what for seen in await asyncio.gather(*both)] == ["prepared"] * 2
    for client in clients:
        found = await tags(client)
        assert "edge/app:2" in found
        assert "edge/other:1" not in found
    events = await preparer.only(())
    assert sorted((event.node or "", event.what) for event in events) == sorted(
        (client.name, "gets images") for client in clients
    )
    # Another runner, which knows nothing of it: there is nothing left to do.
    again = Preparer("r1", read=lambda: supplies)
    seen = await prepared(again, clients[0], asked("edge/app:2"))
    assert (seen.what, seen.why, await again.only(())) == ("prepared", "", [])
    loads = [job for job in await clients[0].jobs() if job.kind == "image.load"]
    assert len(loads) == 1
    await preparer.stop()


async def test_what_cannot_be_is_told(clients: list[NodeClient]) -> None:
    preparer = Preparer("r1")
    with pytest.raises(ProblemError) as raised:
        await prepared(preparer, clients[0], asked("edge/app:3"))
    assert raised.value.code == "image.not_found"


async def test_a_node_that_is_away_is_not_said_to_be_prepared(
    fleet: SimulatedFleet, clients: list[NodeClient]
) -> None:
    await fleet.misbehave(clients[0].name, "offline")
    preparer = Preparer("r1")
    with pytest.raises(ProblemError) as raised:
        await prepared(preparer, clients[0], asked(THERE))
    assert raised.value.code.startswith("link.")


async def test_an_archive_that_is_gone_is_waited_for(
    clients: list[NodeClient], tmp_path: Path
) -> None:
    path = archive(tmp_path, "edge/app:2")
    kept, away = remembered(index_archive(path)), tmp_path / "away.tar"
    path.rename(away)
    preparer = Preparer(
        "r1",
        read=lambda: read_supplies([kept], caches=tmp_path / "cache", tables=built_in()),
        archive_seconds=0.01,
    )
    node = RolloutNode(name=clients[0].name, wave=0, stage="preparing")
    seen = await preparer.look(clients[0], node, asked("edge/app:2"))
    assert seen.what == "preparing"
    assert str(path) in seen.why
    away.rename(path)
    assert (await prepared(preparer, clients[0], asked("edge/app:2"))).what == "prepared"
    told = [event.what for event in await preparer.only(())]
    assert told == ["trouble", "gets images"]
    await preparer.stop()


async def test_what_is_not_wanted_any_more_is_ended(
    clients: list[NodeClient], tmp_path: Path
) -> None:
    def never() -> Supplies:
        raise ProblemError("archive.unreadable", "it is not there")

    preparer = Preparer("r1", read=never)
    node = RolloutNode(name=clients[0].name, wave=0, stage="preparing")
    assert (await preparer.look(clients[0], node, asked(THERE))).what == "preparing"
    await preparer.only(())
    assert [task for task in asyncio.all_tasks() if "_prepare" in repr(task.get_coro())] == []
