"""Archives on this machine: what a folder holds, and completing a path. Pure but for listing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from console.tui.commands import common_start

_ARCHIVE = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst|bundle)$", re.IGNORECASE)
ENTRIES_LIMIT = 2000


class FolderEntry(NamedTuple):
    """A folder, or a file that looks like an archive by its name."""

    name: str
    is_folder: bool
    size_bytes: int = 0
    modified_at: float = 0.0


def list_folder(folder: str) -> list[FolderEntry]:
    """Folders, then archives, by name; hidden ones last, `ENTRIES_LIMIT` at the most.

    Raises:
        OSError: it cannot be read.
    """
    found: list[FolderEntry] = []
    with os.scandir(whole_path(folder)) as entries:
        for entry in entries:
            try:
                if entry.is_dir():
                    found.append(FolderEntry(entry.name, is_folder=True))
                elif _ARCHIVE.search(entry.name) and entry.is_file():
                    facts = entry.stat()
                    found.append(
                        FolderEntry(
                            entry.name,
                            is_folder=False,
                            size_bytes=facts.st_size,
                            modified_at=facts.st_mtime,
                        )
                    )
            except OSError:
                continue  # went meanwhile, or lies on something that is broken
    found.sort(key=lambda e: (e.name.startswith("."), not e.is_folder, e.name.lower()))
    return found[:ENTRIES_LIMIT]


def split_path(text: str) -> tuple[str, str]:
    """The folder with its slash, and what was typed of a name in it."""
    folder, slash, name = text.rpartition("/")
    return folder + slash, name


def matching(entries: Iterable[FolderEntry], name: str) -> list[FolderEntry]:
    """Those that begin so; else those with it somewhere. Hidden ones only where asked for."""
    seen = [e for e in entries if name.startswith(".") or not e.name.startswith(".")]
    begun = [e for e in seen if e.name.startswith(name)]
    return begun or [e for e in seen if name.lower() in e.name.lower()]


def complete_path(text: str, entries: Iterable[FolderEntry]) -> str:
    """`text` with its name completed as far as only one completion is possible."""
    folder, name = split_path(text)
    found = [e for e in matching(entries, name) if e.name.startswith(name)]
    if not found:
        return text
    common = common_start([e.name for e in found])
    end = "/" if len(found) == 1 and found[0].is_folder else ""
    return f"{folder}{common}{end}"


def whole_path(text: str) -> Path:
    """What was typed as a path; `~` is the person's home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody is called so
        return Path(text)
