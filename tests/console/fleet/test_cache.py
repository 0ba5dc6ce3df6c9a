"""The last known picture: shown at start, never believed more than it deserves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from console.fleet.cache import PictureCache
from console.fleet.inventory import NodeEntry
from console.fleet.picture import NodeView

SECTIONS = {"gpus": {"GPU-a": {"index": 0, "name": "T4", "state": "ok", "utilization_percent": 5}}}


def views(address: str = "ssh://a") -> dict[str, NodeView]:
    return {
        "a": NodeView(NodeEntry(name="a", address=address)),
        "b": NodeView(NodeEntry(name="b", address="ssh://b")),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cache in which node `a` was seen at 1000."""
    known = views()
    known["a"].sections, known["a"].seen_at = SECTIONS, 1000.0
    file = tmp_path / "roost" / "picture.json"
    asyncio.run(PictureCache(file).save(known))
    return file


def test_there_and_back(file: Path) -> None:
    found = views()
    cache = PictureCache(file)
    cache.fill(found)
    assert (found["a"].cached, found["a"].seen_at, found["a"].state) == (True, 1000.0, "connecting")
    assert found["a"].gpus()[0].name == "T4"
    assert (found["b"].cached, found["b"].seen_at) == (False, None)
    assert cache.note is None
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["picture.json"]


def test_another_machine_behind_the_same_name_is_not_believed(file: Path) -> None:
    found = views("ssh://other")
    PictureCache(file).fill(found)
    assert not found["a"].cached


def broken(content: dict[str, object], **changes: object) -> bytes:
    return msgspec.json.encode({**content, **changes})


@pytest.mark.parametrize("case", ["cut", "empty", "version", "record", "deep", "binary", "folder"])
def test_a_broken_file_is_ignored_with_a_note(case: str, file: Path) -> None:
    content = file.read_bytes()
    whole = msgspec.json.decode(content)
    record = {"gpus": {"GPU-a": {"index": "zero"}}}
    file.unlink()
    if case == "folder":
        file.mkdir()
    else:
        file.write_bytes(
            {
                "cut": content[:-20],
                "empty": b"",
                "version": broken(whole, version="0/0.0"),
                "record": broken(
                    whole, nodes={"a": {"address": "ssh://a", "seen_at": 1, "sections": record}}
                ),
                "deep": b"[" * 100_000,
                "binary": bytes(range(256)),
            }[case]
        )
    found = views()
    cache = PictureCache(file)
    cache.fill(found)
    assert not found["a"].cached
    assert str(file) in (cache.note or "")


def test_no_file_is_no_note(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path / "none.json")
    cache.fill(views())
    assert cache.note is None


async def test_nothing_is_written_without_news(file: Path) -> None:
    found = views()
    cache = PictureCache(file)
    cache.fill(found)
    await cache.save(found)
    before = await asyncio.to_thread(lambda: file.stat().st_ino)
    await cache.save(found)
    assert await asyncio.to_thread(lambda: file.stat().st_ino) == before
    found["a"].seen_at = 2000.0
    await cache.save(found)
    assert await asyncio.to_thread(lambda: file.stat().st_ino) != before


async def test_where_nothing_can_be_written_nothing_breaks(file: Path) -> None:
    found = views()
    found["a"].sections, found["a"].seen_at = SECTIONS, 1.0
    await PictureCache(file / "below-a-file.json").save(found)


def test_each_fleet_has_its_own(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    one = PictureCache.of_fleet(Path("/a/fleet.yaml"), environment).file
    other = PictureCache.of_fleet(Path("/b/fleet.yaml"), environment).file
    assert one != other
    assert one.parent == other.parent == tmp_path / "roost"
