"""What is reserved counts for others, and is given back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.images.space import SPARE_BYTES, DiskFree, Space, disk_free
from agent.protocol.problems import ProblemError

FREE = 10_000_000


def space(**devices: int) -> Space:
    """Folders /a, /b on devices with so much free beside the spare."""
    return Space(lambda path: DiskFree(ord(path.name[0]), devices[path.name] + SPARE_BYTES))


def test_what_others_reserve_is_not_free() -> None:
    made = space(a=FREE)
    mine = [made.claim("/a", "blobs", 3_000_000)]
    made.reserve(mine, holder="one")
    [need] = made.needs([made.claim("/a", "blobs", 1)], holder="two")
    assert (need.free_bytes, need.reserved_bytes) == (FREE - 3_000_000, 3_000_000)
    [need] = made.needs(mine, holder="one")
    assert (need.free_bytes, need.reserved_bytes) == (FREE, 0)


def test_claims_on_one_filesystem_add_up_and_others_stay_apart() -> None:
    made = space(a=FREE, ab=FREE, b=5)
    claims = [
        made.claim("/a", "blobs", 1),
        made.claim("/ab", "runtime", 2),
        made.claim("/b", "runtime", 3),
    ]
    one, other = made.needs(claims)
    assert (one.path, one.purposes, one.needed_bytes) == ("/a", ["blobs", "runtime"], 3)
    assert (other.path, other.needed_bytes, other.free_bytes) == ("/b", 3, 5)


def test_what_was_written_is_not_reserved_any_more() -> None:
    made = space(a=FREE)
    claims = [made.claim("/a", "blobs", 4_000_000), made.claim("/a", "runtime", 1_000_000)]
    made.reserve(claims, holder="one")
    made.still_needs("one", "blobs", 500_000)
    made.still_needs("nobody", "blobs", 500_000)
    [need] = made.needs([made.claim("/a", "blobs", 1)])
    assert need.reserved_bytes == 1_500_000
    made.still_needs("one", "blobs", 4_000_000)  # it never grows
    [need] = made.needs([made.claim("/a", "blobs", 1)])
    assert need.reserved_bytes == 1_500_000
    made.reserve(claims[1:], holder="one")  # planned again: in place of the former
    [need] = made.needs([made.claim("/a", "blobs", 1)])
    assert need.reserved_bytes == 1_000_000
    made.release("one")
    made.release("one")
    [need] = made.needs([made.claim("/a", "blobs", 1)])
    assert (need.reserved_bytes, need.free_bytes) == (0, FREE)


def test_less_than_the_spare_is_nothing_free() -> None:
    made = space(a=-5)
    assert made.needs([made.claim("/a", "blobs", 1)])[0].free_bytes == 0


def test_a_folder_that_is_not_there_yet_is_on_the_disk_above_it(tmp_path: Path) -> None:
    there = disk_free(tmp_path)
    assert disk_free(tmp_path / "not" / "yet").device == there.device
    assert there.free_bytes > 0
    (tmp_path / "file").touch()
    assert disk_free(tmp_path / "file" / "below").device == there.device


def test_a_disk_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as raised:
        disk_free(tmp_path / ("x" * 300))
    assert raised.value.code == "blob.storage"
