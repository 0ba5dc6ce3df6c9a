"""Lists that were read before: on disk, bounded, and read again by readers that see more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.packages import kept
from agent.packages.kept import KEPT, KeptPackages, key_of
from agent.protocol.images import NodeImage
from agent.protocol.packages import Package, PackageList
from agent.protocol.problems import ProblemError

LISTED = PackageList(
    os_id="debian",
    packages=[Package(kind="deb", name="a", version="1")],
    unknown=["why"],
    read_at=1.0,
)


def test_what_was_kept_is_there_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "packages"
    KeptPackages(folder).put("one", LISTED)
    assert KeptPackages(folder).get("one") == LISTED
    assert KeptPackages(folder).get("other") is None
    assert [each.name for each in folder.iterdir()] == ["one.json"]
    monkeypatch.setattr(kept, "READER", kept.READER + 1)
    assert KeptPackages(folder).get("one") is None
    (folder / "one.json").write_text("{")
    assert KeptPackages(folder).get("one") is None


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_oldest_go(tmp_path: Path, *, on_disk: bool) -> None:
    store = KeptPackages(tmp_path if on_disk else None)
    for number in range(KEPT + 2):
        store.put(str(number), LISTED)
        if on_disk:
            os.utime(tmp_path / f"{number}.json", (number, number))
    store.put("last", LISTED)
    there = [number for number in range(KEPT + 2) if store.get(str(number)) is not None]
    assert there == list(range(3, KEPT + 2))


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("a file")
    with pytest.raises(ProblemError) as raised:
        KeptPackages(tmp_path / "packages").put("one", LISTED)
    assert raised.value.code == "packages.storage"


def of(image_id: str, *diff_ids: str) -> NodeImage:
    return NodeImage(id=image_id, diff_ids=list(diff_ids), size_bytes=1)


def test_an_image_is_its_layers() -> None:
    assert key_of(of("1", "sha256:a", "sha256:b")) == key_of(of("2", "sha256:a", "sha256:b"))
    assert key_of(of("1", "sha256:a", "sha256:b")) != key_of(of("1", "sha256:b", "sha256:a"))
    assert key_of(of("1")) != key_of(of("2"))
