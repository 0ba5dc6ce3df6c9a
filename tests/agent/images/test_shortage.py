"""What is said where a load does not fit, and the mend for the disk that it is."""

from __future__ import annotations

import re

import pytest

from agent.images.freeing import enough
from agent.images.shortage import NAMED_IMAGES, needs_a_word, too_little
from agent.images.space import SPARE_BYTES
from agent.protocol.images import Freeable, SpaceNeed

MIB = 2**20
LAYER = Freeable(kind="blob", name="sha256:00", size_bytes=12 * MIB)
APP = Freeable(kind="image", name="app:1", size_bytes=20 * MIB)


def need(*purposes: str, reserved: int = 0) -> SpaceNeed:
    return SpaceNeed(
        path="/var/lib/there",
        purposes=list(purposes),
        needed_bytes=600 * MIB,
        free_bytes=120 * MIB,
        reserved_bytes=reserved,
        spare_bytes=SPARE_BYTES,
    )


def test_images_that_would_make_room_are_named_with_what_they_take() -> None:
    problem = needs_a_word(need("blobs", "runtime"), [LAYER, APP])
    assert problem.detail == (
        "600 MiB are needed at /var/lib/there, and 120 MiB can be had there (128 MiB stay free as a"
        " spare); removing 1 image would make room, beside 12 MiB of layers that are kept for"
        " later: app:1 (20 MiB)"
    )
    assert problem.hint is not None
    assert "--make-room" in problem.hint
    assert problem.params["images"] == ["app:1"]
    assert problem.params["images_bytes"] == 20 * MIB
    assert problem.params["freeable_bytes"] == 32 * MIB


def test_of_many_images_some_are_named_and_all_are_for_programs() -> None:
    many = [Freeable(kind="image", name=f"app:{n}", size_bytes=MIB) for n in range(8)]
    problem = needs_a_word(need("runtime"), many)
    assert "removing 8 images would make room: app:0 (1.0 MiB), " in problem.detail
    assert problem.detail.endswith(f"and {8 - NAMED_IMAGES} more")
    assert problem.params["images"] == [f"app:{n}" for n in range(8)]


@pytest.mark.parametrize(
    ("purposes", "said", "not_said"),
    [
        (("runtime",), "roost image rm", "`state`"),
        (("blobs", "runtime"), "roost image rm", "`state`"),
        (("blobs",), "`state`", "roost image"),
        (("temporary",), "while it loads", "roost image"),
    ],
)
def test_the_mend_is_for_the_disk_that_is_full(
    purposes: tuple[str, ...], said: str, not_said: str
) -> None:
    problem = too_little(need(*purposes), 0, None)
    assert problem.hint is not None
    assert said in problem.hint
    assert not_said not in problem.hint
    assert "roost job ls" not in problem.hint
    assert "make-room" not in problem.hint


def test_one_unit_and_all_that_is_kept() -> None:
    problem = too_little(need("runtime", reserved=30 * MIB), 12 * MIB, "it is silent")
    assert problem.detail == (
        "600 MiB are needed at /var/lib/there, and 120 MiB can be had there (128 MiB stay free as a"
        " spare, 30 MiB are held for other jobs); 12 MiB could be freed (what images take is not"
        " known: it is silent)"
    )
    assert "roost job ls" in (problem.hint or "")
    assert re.findall(r"\d{5,}", problem.detail) == []
    assert problem.params["needed_bytes"] == 600 * MIB


@pytest.mark.parametrize(
    ("sizes", "lacking", "goes"),
    [
        ([2, 20, 500], 500, [500]),  # the large one is enough by itself
        ([2, 20, 500], 502, [2, 500]),  # of what can stay, images, which are last, come first
        ([2, 20, 500], 515, [20, 500]),
        ([2, 20, 500], 522, [2, 20, 500]),
        ([500, 20, 2], 20, [500]),
        ([3, 3, 3, 4], 10, [3, 3, 4]),
        ([5], 0, []),
    ],
)
def test_what_is_not_needed_after_all_stays(
    sizes: list[int], lacking: int, goes: list[int]
) -> None:
    found = [Freeable(kind="image", name=f"app:{n}", size_bytes=n) for n in sizes]
    chosen = enough(found, lacking)
    assert chosen is not None
    assert [item.size_bytes for item in chosen] == goes


def test_no_more_than_is_enough_and_nothing_where_all_is_too_little() -> None:
    assert enough([LAYER, APP], 12 * MIB) == [LAYER]
    assert enough([LAYER, APP], 13 * MIB) == [APP]
    assert enough([LAYER, APP], 21 * MIB) == [LAYER, APP]
    assert enough([LAYER, APP], 33 * MIB) is None
    assert enough([], 1) is None
