"""The blob store: what is in it, reading it, making room."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.images.blobs import BlobStore
from agent.protocol.problems import ProblemError
from tests.agent.images.layers import compressed, diff_id, noise

PLAIN, PACKED = noise(100_000, 1), b"packed" * 100_000


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    made = BlobStore(tmp_path / "blobs")
    made.load()
    put(made, PLAIN, PLAIN)
    put(made, PACKED, compressed(PACKED))
    return made


def put(store: BlobStore, layer: bytes, stored: bytes, *, unused_for: float = 0) -> str:
    file = store.folder.parent / "incoming"
    file.write_bytes(stored)
    store.add(file, diff_id(layer), len(layer), compressed=stored is not layer)
    if unused_for:
        (path,) = store.folder.glob(f"{diff_id(layer)[7:]}*")
        os.utime(path, (0, time.time() - unused_for))
    return diff_id(layer)


@pytest.mark.parametrize("layer", [PLAIN, PACKED])
def test_a_layer_is_read_uncompressed(store: BlobStore, layer: bytes) -> None:
    with store.open(diff_id(layer)) as file:
        assert file.read(7) == layer[:7]
        assert file.read() == layer[7:]


def test_sizes_are_known_after_a_restart(store: BlobStore) -> None:
    again = BlobStore(store.folder)
    again.load()
    assert {blob.diff_id: blob.size_bytes for blob in again.list()} == {
        diff_id(PLAIN): len(PLAIN),
        diff_id(PACKED): len(PACKED),
    }
    assert again.get(diff_id(PACKED)).stored_bytes == len(compressed(PACKED))


def test_what_is_no_blob_is_removed_at_start(store: BlobStore) -> None:
    (store.folder / "half.tmp").write_bytes(b"x")
    BlobStore(store.folder).load()
    assert len(list(store.folder.iterdir())) == 2


def test_the_longest_unused_goes_first_and_pinned_ones_never(store: BlobStore) -> None:
    old = put(store, noise(50_000, 3), noise(50_000, 3), unused_for=5000)
    pinned = put(store, noise(50_000, 4), noise(50_000, 4), unused_for=9000)
    removed = store.evict(keep_bytes=160_000, max_age_seconds=1e6, pinned={pinned})
    assert [blob.diff_id for blob in removed] == [old]
    assert store.has(pinned)
    assert not store.has(old)


def test_what_was_unused_for_too_long_goes(store: BlobStore) -> None:
    old = put(store, noise(10, 5), noise(10, 5), unused_for=5000)
    assert [each.diff_id for each in store.evict(keep_bytes=10**9, max_age_seconds=4000)] == [old]


def test_reading_is_use(store: BlobStore) -> None:
    old = put(store, noise(10, 5), noise(10, 5), unused_for=5000)
    store.open(old).close()
    assert store.evict(keep_bytes=10**9, max_age_seconds=4000) == []


def test_a_damaged_file_is_told_while_reading(store: BlobStore) -> None:
    (path,) = store.folder.glob("*.zst")
    os.truncate(path, path.stat().st_size // 2)
    with store.open(diff_id(PACKED)) as file, pytest.raises(OSError, match="damaged"):
        file.read()


def test_a_file_that_someone_removed_is_not_there(store: BlobStore) -> None:
    (store.folder / diff_id(PLAIN)[7:]).unlink()
    with pytest.raises(ProblemError) as raised:
        store.open(diff_id(PLAIN))
    assert raised.value.code == "blob.not_found"
    assert not store.has(diff_id(PLAIN))


def test_a_layer_that_came_in_another_encoding_replaces_the_one_before(store: BlobStore) -> None:
    put(store, PLAIN, compressed(PLAIN))
    assert [path.suffix for path in sorted(store.folder.glob(f"{diff_id(PLAIN)[7:]}*"))] == [".zst"]
    with store.open(diff_id(PLAIN)) as file:
        assert file.read() == PLAIN
