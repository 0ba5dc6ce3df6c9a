"""The real way of archives to nodes: real agents, stopped and begun again, alone and by site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.tui.carrier import LinkCarrier
from console.tui.pushing import NodePush, Pushes
from console.tui.terms import Terms
from tests.console.images.pushing import UnixAs, archive_of, made, noise
from tests.console.images.site_parts import SiteNode, site_of
from tests.waiting import until

IMAGE = made("app:1", noise("base", 1_500_000), noise("top", 300_000))
# What is on its way when a push is stopped may be lost: a piece of each layer that is being sent.
LOST_BYTES = 2 * 256 * 1024


@asynccontextmanager
async def pushes_to(nodes: Mapping[str, SiteNode], folder: Path) -> AsyncIterator[Pushes]:
    """As the interface has them, over links that send compressed."""
    clients = {
        name: NodeClient(
            name,
            UnixAs(Path(node.entry.address.removeprefix("unix://")), "https"),
            owner="maria",
            timeout=5,
        )
        for name, node in nodes.items()
    }
    pushes = Pushes(LinkCarrier(clients.__getitem__, {"XDG_CACHE_HOME": str(folder)}))
    try:
        yield pushes
    finally:
        await pushes.stop()
        await asyncio.gather(*(client.close() for client in clients.values()))


def read(pushes: Pushes, folder: Path) -> ArchiveIndex:
    archive_of(folder / "app.tar", IMAGE)
    assert pushes.carrier is not None
    return pushes.carrier.read(folder / "app.tar", lambda *_: None)


def entries(nodes: Mapping[str, SiteNode]) -> list[NodeEntry]:
    return [node.entry for node in nodes.values()]


async def ended(*pushes: NodePush) -> None:
    await asyncio.gather(*(push.task for push in pushes if push.task), return_exceptions=True)


async def has_begun(push: NodePush) -> None:
    """Some of it is on its way."""
    await until(lambda: push.account.sent_bytes > 0)


def stored(node: SiteNode) -> int:
    """Bytes of the image's layers as the node keeps them."""
    blobs = node.agent.node.images.blobs
    return sum(blobs.get(diff_id).stored_bytes for diff_id in IMAGE.diff_ids)


@pytest.mark.timeout(60)
async def test_what_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    async with site_of(tmp_path, "a", listening=[]) as nodes, pushes_to(nodes, tmp_path) as pushes:
        index = await asyncio.to_thread(read, pushes, tmp_path)
        # Slow enough that it cannot be done before it is stopped.
        pushes.begin(index, entries(nodes), Terms(bytes_per_second=100_000))
        first = pushes.nodes["a"]
        await has_begun(first)
        await pushes.stop(["a"])
        assert first.stopped
        assert first.state.job is not None
        pushes.again([first], Terms())
        second = pushes.nodes["a"]
        await ended(second)
        assert second.state.stage == "done"
        assert second.state.job is not None
        assert second.state.job.id == first.state.job.id
        whole = stored(nodes["a"])
        sent = first.state.sent_bytes + second.state.sent_bytes
        assert whole <= sent <= whole + LOST_BYTES
        assert second.state.sent_bytes < whole


@pytest.mark.timeout(60)
async def test_each_budget_brings_it_further(tmp_path: Path) -> None:
    async with site_of(tmp_path, "a", listening=[]) as nodes, pushes_to(nodes, tmp_path) as pushes:
        index = await asyncio.to_thread(read, pushes, tmp_path)
        terms = Terms(budget_bytes=400_000)
        pushes.begin(index, entries(nodes), terms)
        done = []
        while True:
            push = pushes.nodes["a"]
            await ended(push)
            done.append(push.state.sent_bytes)
            if push.state.stage == "done":
                break
            assert push.held_back
            assert push.state.problem is not None
            assert push.state.problem.code == "push.budget"
            assert push.state.sent_bytes == 400_000
            pushes.again([push], terms)
        # Nothing of it was sent twice.
        assert sum(done) == stored(nodes["a"])
        assert len(done) == -(-sum(done) // 400_000)


@pytest.mark.timeout(60)
async def test_others_of_the_site_find_another_seed_when_one_is_stopped(tmp_path: Path) -> None:
    listening = ["b", "c"]
    async with (
        site_of(tmp_path, "a", "b", "c", listening=listening) as nodes,
        pushes_to(nodes, tmp_path) as pushes,
    ):
        index = await asyncio.to_thread(read, pushes, tmp_path)
        assert pushes.carrier is not None
        assert [(await pushes.carrier.site(name)).listening for name in nodes] == [
            False,
            True,
            True,
        ]
        pushes.begin(index, entries(nodes), Terms(bytes_per_second=300_000, via_site=True))
        seed = pushes.nodes["b"]
        await has_begun(seed)
        await pushes.stop(["b"])
        sent = seed.account.sent_bytes
        others = [pushes.nodes["a"], pushes.nodes["c"]]
        await ended(*others)
        assert [push.state.problem for push in others] == [None, None]
        assert seed.stopped
        assert seed.account.sent_bytes <= sent + LOST_BYTES
        assert not any(nodes["b"].has(diff_id) for diff_id in IMAGE.diff_ids)
        assert pushes.nodes["c"].account.way == "seed"
        # What c has, b gets from it when it is pushed again: nothing more goes over the slow link.
        pushes.again([seed], Terms(via_site=True))
        again = pushes.nodes["b"]
        await ended(again)
        await until(lambda: not pushes._endings)
        assert again.state.stage == "done"
        assert again.account.way == "from c"
        assert again.account.sent_bytes == 0
