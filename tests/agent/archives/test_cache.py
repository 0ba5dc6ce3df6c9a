"""Kept indexes: used while the file is the same, and never trusted beyond that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.archives.cache import IndexCache
from agent.archives.index import FORMAT
from agent.archives.indexing import index_archive
from agent.protocol.problems import ProblemError
from tests.archives_made import Made, docker_archive, layer

IMAGE = Made([layer("base"), layer("app")])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One archive."""
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive([IMAGE]))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where indexes are kept; it is not there yet."""
    return tmp_path / "cache" / "indexes"


def test_an_index_is_kept(archive: Path, folder: Path) -> None:
    cache = IndexCache(folder)
    assert cache.kept(archive) is None
    index = cache.index(archive)
    assert index == index_archive(archive)
    assert cache.kept(archive) == index
    assert IndexCache(folder).index(archive) == index
    assert [file.suffix for file in folder.iterdir()] == [".json"]


def test_it_is_not_made_again(archive: Path, folder: Path) -> None:
    index = IndexCache(folder).index(archive)
    facts = archive.stat()
    archive.write_bytes(bytes(facts.st_size))
    os.utime(archive, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert IndexCache(folder).index(archive) == index


@pytest.mark.parametrize("what", ["size", "time"])
def test_a_file_that_changed_is_read_again(archive: Path, folder: Path, what: str) -> None:
    cache = IndexCache(folder)
    cache.index(archive)
    if what == "time":
        os.utime(archive, ns=(0, 0))
    else:
        facts = archive.stat()
        archive.write_bytes(archive.read_bytes() + bytes(512))
        os.utime(archive, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert cache.kept(archive) is None
    assert cache.index(archive) == index_archive(archive)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"path": 1}'])
def test_a_damaged_entry_is_made_anew(archive: Path, folder: Path, content: bytes) -> None:
    cache = IndexCache(folder)
    index = cache.index(archive)
    kept = next(folder.iterdir())
    kept.write_bytes(content)
    assert cache.kept(archive) is None
    assert cache.index(archive) == index
    assert cache.kept(archive) == index


def test_another_format_is_made_anew(archive: Path, folder: Path) -> None:
    IndexCache(folder).index(archive)
    kept = next(folder.iterdir())
    kept.write_bytes(kept.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":0'))
    assert IndexCache(folder).kept(archive) is None


def test_the_oldest_go(tmp_path: Path, folder: Path) -> None:
    cache = IndexCache(folder, entries_limit=3)
    paths = [tmp_path / f"{number}.tar" for number in range(5)]
    for age, path in enumerate(paths):
        path.write_bytes(docker_archive([IMAGE]))
        cache.index(path)
        newest = max(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, ns=(age, age))
    assert [cache.kept(path) is not None for path in paths] == [False, False, True, True, True]


def test_a_cache_that_cannot_be_written_is_no_problem(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = IndexCache(tmp_path / "file")
    assert cache.index(archive) == index_archive(archive)


def test_no_archive(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        IndexCache(folder).index(tmp_path / "none.tar")
    assert caught.value.code == "archive.unreadable"
