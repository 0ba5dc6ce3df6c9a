"""How much a snapshot may need while it is taken, and what a killed one leaves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import NodeSnapshot
from console.received import beside
from console.snapshots import taking
from console.snapshots.taking import Wanted, room_warning, take
from tests.console.snapshots.made import image, snapshot

if TYPE_CHECKING:
    from console.link.client import NodeClient


class Usage(NamedTuple):
    free: int


def test_images_may_share_layers_so_only_the_largest_is_needed_for_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [image(f"app:{number}", number) for number in range(3)]  # 1 MB each

    def with_free(free: int, models: int = 0) -> str | None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
        return room_warning(tmp_path / "a.snapshot", images, models)

    assert with_free(3 * 10**6) is None
    warning = with_free(2 * 10**6)
    assert warning is not None
    assert "less what images share" in warning
    for free, models in ((10**6 - 1, 0), (10**6, 1)):
        with pytest.raises(ProblemError, match="at least") as refused:
            with_free(free, models)
        assert refused.value.code == "bundle.unwritable"


async def test_what_a_killed_one_left_is_tidied_and_a_running_ones_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.snapshot"
    left, others = (tmp_path / name for name in (".a.snapshot.taking-1", ".b.snapshot.taking-1"))
    for each in (left, others):
        each.mkdir()
        (each / "images.tar").write_bytes(b"x")
    async with beside(file) as running, beside(file) as folder:
        assert names_in(tmp_path) == {others.name, running.name, folder.name}
    assert names_in(tmp_path) == {others.name}


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


class WithImages:
    """A node with so many images, whose content nobody may ask for."""

    def __init__(self, count: int) -> None:
        self.snapshots, self.count = self, count

    async def take(self, *, environment: bool) -> NodeSnapshot:
        assert not environment
        return snapshot(images=[image(f"app:{number}", number) for number in range(self.count)])

    def export_images(self, images: Sequence[str]) -> None:
        raise AssertionError(images)


async def test_too_many_images_are_said_before_anything_is_read(tmp_path: Path) -> None:
    client = cast("NodeClient", WithImages(taking.IMAGES_LIMIT + 1))
    with pytest.raises(ProblemError, match="that would be 65") as refused:
        await take(client, tmp_path / "a.snapshot", Wanted(all_images=True))
    assert refused.value.code == "console.usage"
    assert names_in(tmp_path) == set()
