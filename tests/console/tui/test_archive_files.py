"""Archives on this machine: listing a folder and completing a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.tui.archive_files import (
    FolderEntry,
    complete_path,
    list_folder,
    matching,
    split_path,
    whole_path,
)

ENTRIES = [
    FolderEntry("data", is_folder=True),
    FolderEntry("app-1.tar", is_folder=False),
    FolderEntry("app-2.tar", is_folder=False),
    FolderEntry(".hidden.tar", is_folder=False),
]


def test_a_folder_is_listed_without_what_is_no_archive(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar.zst", "c.TGZ", "notes.txt", "tar", "star.md", ".h.tar"):
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / "z").mkdir()
    (tmp_path / "broken.tar").symlink_to("nowhere")
    found = list_folder(f"{tmp_path}/")
    assert [entry.name for entry in found] == ["z", "a.tar.zst", "b.tar", "c.TGZ", ".h.tar"]
    assert [entry.size_bytes for entry in found] == [0, 3, 3, 3, 3]
    assert found[0].is_folder
    assert found[1].modified_at > 0


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        list_folder(f"{tmp_path}/none/")


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("/srv/a", "/srv/app-"),
        ("/srv/app-1", "/srv/app-1.tar"),
        ("/srv/d", "/srv/data/"),
        ("/srv/x", "/srv/x"),
        ("/srv/.h", "/srv/.hidden.tar"),
        ("a", "app-"),
    ],
)
def test_completing(text: str, completed: str) -> None:
    assert complete_path(text, ENTRIES) == completed


def test_matching_looks_at_the_beginning_first_then_anywhere() -> None:
    assert [entry.name for entry in matching(ENTRIES, "a")] == ["app-1.tar", "app-2.tar"]
    assert [entry.name for entry in matching(ENTRIES, "2.T")] == ["app-2.tar"]
    assert [entry.name for entry in matching(ENTRIES, "")] == ["data", "app-1.tar", "app-2.tar"]


def test_paths() -> None:
    assert split_path("/srv/a") == ("/srv/", "a")
    assert split_path("a") == ("", "a")
    assert whole_path("~/x") == Path.home() / "x"
    assert whole_path("~nobody-is-called-so/x") == Path("~nobody-is-called-so/x")
