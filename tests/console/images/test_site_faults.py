"""Seeds that die, lie, or are out of reach: the layers come another way, and none comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from agent.images.blobs import BlobStore, StoredBlob
from agent.images.upload_record import UploadRecord
from agent.images.uploads import UploadState
from agent.protocol.site import GrantRequest, SiteGrant
from agent.site import fetching, seed_server
from console.images import push, site_seed, site_spread
from tests.console.images.pushing import archive_of, image_named, made, noise
from tests.console.images.site_parts import Pushed, SiteNode, push_via_site, site_of

pytestmark = pytest.mark.timeout(60)

BASE, TOP = noise("base", 3_000_000), noise("top", 1_000_000)
LARGE = noise("large", 16_000_000)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(push, "ASK_AGAIN_SECONDS", 0.5)
    for module in (site_seed, site_spread):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)


def ways(done: dict[str, Pushed]) -> dict[str, str]:
    return {name: each.account.way for name, each in done.items()}


def problems(done: dict[str, Pushed]) -> dict[str, str]:
    """The codes of those that did not work."""
    found = {name: each.state.problem for name, each in done.items()}
    return {name: problem.code for name, problem in found.items() if problem is not None}


def begun_at(node: SiteNode, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which byte on each upload to a node went, in turn."""
    uploads = node.agent.node.images.uploads
    honest, found = uploads.create, []

    async def create(record: UploadRecord) -> UploadState:
        state = await honest(record)
        found.append(state.offset)
        return state

    monkeypatch.setattr(uploads, "create", create)
    return found


async def die(node: SiteNode) -> None:
    """Neither its site nor the console reaches it any more."""
    server = node.agent.node.site._server
    assert server is not None
    node.link.away = True
    node.link.cut()
    await server.stop()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - as good
        await asyncio.sleep(0)


def served_bytes(node: SiteNode) -> int:
    server = node.agent.node.site._server
    return 0 if server is None else server.sent_bytes


def lies(
    node: SiteNode, monkeypatch: pytest.MonkeyPatch, lie: Callable[[SiteGrant], SiteGrant]
) -> None:
    """Have a node's grants be other ones."""
    honest = node.agent.node.site.grant

    async def grant(request: GrantRequest) -> SiteGrant:
        return lie(await honest(request))

    monkeypatch.setattr(node.agent.node.site, "grant", grant)


@pytest.mark.parametrize("other", [True, False])
async def test_a_seed_that_dies_amid_a_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    monkeypatch.setattr(seed_server, "PIECE_BYTES", 64 * 1024)
    image = made("app:1", LARGE)
    archive = archive_of(tmp_path / "app.tar", image)
    listening = ["b", "c"] if other else ["b"]
    async with site_of(tmp_path, "a", "b", "c", listening=listening) as nodes:
        offsets = {name: begun_at(nodes[name], monkeypatch) for name in "ac"}
        pushing = asyncio.create_task(push_via_site(nodes, archive))
        await until(lambda: served_bytes(nodes["b"]) > 2_000_000)
        stored = nodes["b"].agent.node.images.blobs.get(image.diff_ids[0]).stored_bytes
        await die(nodes["b"])
        done = await pushing
        there = {name: offsets[name][-1] for name in "ac"}
        assert problems({name: done[name] for name in "ac"}) == {}
        assert all(nodes[name].has(image.diff_ids[0]) for name in "ac")
        assert all(0 < there[name] < stored for name in "ac")
        if other:
            assert ways(done)["c"] == "seed"
            assert ways(done)["a"] == "from c"
            assert done["c"].account.sent_bytes == stored - there["c"]
            assert done["a"].account.sent_bytes == 0
            assert done["a"].account.fetched_bytes == stored - there["a"]
        else:
            assert ways(done) | {"b": ""} == {"a": "direct", "b": "", "c": "direct"}
            assert all(done[name].account.sent_bytes == stored - there[name] for name in "ac")


async def test_bytes_that_rotted_on_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = made("app:1", BASE, TOP)
    archive = archive_of(tmp_path / "app.tar", image)
    async with site_of(tmp_path, "a", "b", "c", listening=["b", "c"]) as nodes:
        blobs = nodes["b"].agent.node.images.blobs
        assert isinstance(blobs, BlobStore)
        honest = blobs.open_stored

        def rotten(diff_id: str) -> StoredBlob:
            blob = honest(diff_id)
            with blob.file:
                data = bytearray(blob.file.read())
            data[len(data) // 2] ^= 0xFF
            return blob._replace(file=BytesIO(data))

        # Not the files: the seed's own load may find that first, and has them sent again.
        monkeypatch.setattr(blobs, "open_stored", rotten)
        done = await push_via_site(nodes, archive)
        assert problems({name: done[name] for name in "ac"}) == {}
        assert ways(done)["c"] == "seed"
        assert ways(done)["a"] == "from c"
        assert await image_named(nodes["a"].agent, "app:1") is not None


@pytest.mark.parametrize(
    "lie",
    [
        {"fingerprint": "sha256:" + "0" * 64},
        {"secret": "x" * 43},
        {"addresses": ["127.0.0.1:1"]},
    ],
    ids=lambda lie: next(iter(lie)),
)
async def test_nodes_that_cannot_fetch_are_sent_to_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: dict[str, object]
) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", BASE, TOP))
    async with site_of(tmp_path, "a", "b", "c", listening=["b"]) as nodes:
        lies(nodes["b"], monkeypatch, lambda grant: msgspec.structs.replace(grant, **lie))
        done = await push_via_site(nodes, archive)
    assert problems(done) == {}
    assert ways(done) == {"a": "direct", "b": "seed", "c": "direct"}
    assert len({each.account.sent_bytes for each in done.values()}) == 1


async def test_a_layer_that_the_seed_lost_is_sent_to_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = made("app:1", BASE, TOP)
    archive = archive_of(tmp_path / "app.tar", image)
    lost: list[str] = []
    async with site_of(tmp_path, "a", "b", listening=["b"]) as nodes:

        def lose(grant: SiteGrant) -> SiteGrant:
            if not lost:
                lost.append(image.diff_ids[0])
                nodes["b"].agent.node.images.blobs.remove(lost[0])
            return grant

        lies(nodes["b"], monkeypatch, lose)
        done = await push_via_site(nodes, archive)
        assert problems({"a": done["a"]}) == {}
        assert ways(done)["a"] == "from b"


async def test_a_link_that_is_cut_costs_no_second_copy(tmp_path: Path) -> None:
    image = made("app:1", LARGE)
    archive = archive_of(tmp_path / "app.tar", image)
    async with site_of(tmp_path, "a", "b", listening=["b"]) as nodes:
        nodes["b"].link.cuts = [2_000_000, 4_000_000, 6_000_000]
        done = await push_via_site(nodes, archive)
        stored = nodes["b"].agent.node.images.blobs.get(image.diff_ids[0]).stored_bytes
        assert problems(done) == {}
        assert ways(done) == {"a": "from b", "b": "seed"}
        assert nodes["b"].link.cuts == []
        assert done["b"].account.sent_bytes <= stored + 3 * 1024 * 1024
        assert nodes["a"].link.up_bytes < 100_000


async def test_where_the_whole_site_is_away_the_seed_stays(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", LARGE))
    async with site_of(tmp_path, "a", "b", "c", listening=["b", "c"]) as nodes:
        pushing = asyncio.create_task(push_via_site(nodes, archive))
        await until(lambda: nodes["b"].link.up_bytes > 2_000_000)
        for node in nodes.values():
            node.link.away = True
            node.link.cut()
        await asyncio.sleep(1.5)
        for node in nodes.values():
            node.link.away = False
        done = await pushing
    assert problems(done) == {}
    assert ways(done) == {"a": "from b", "b": "seed", "c": "from b"}


async def test_where_only_the_seed_is_away_another_one_is_chosen(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", LARGE))
    async with site_of(tmp_path, "a", "b", "c", listening=["b", "c"]) as nodes:
        pushing = asyncio.create_task(push_via_site(nodes, archive))
        await until(lambda: nodes["b"].link.up_bytes > 2_000_000)
        nodes["b"].link.away = True
        nodes["b"].link.cut()
        done = await pushing
    assert set(problems(done)) == {"b"}
    assert ways(done)["a"] == "from c"
    assert ways(done)["c"] == "seed"
