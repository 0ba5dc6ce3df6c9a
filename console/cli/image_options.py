"""Arguments and options of the verbs that read archives."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from agent.archives.cache import IndexCache
from agent.archives.index import ArchiveIndex
from agent.archives.needs_cache import NeedsCache
from agent.archives.verified_cache import VerifiedCache
from agent.protocol.problems import ProblemError
from agent.rules.tables import read_tables
from console.cli.nodes import fleet_file
from console.cli.options import complete_selector
from console.cli.setup import Setup
from console.cli.table import cut
from console.images.judging import TABLES_FILE, ArchiveJudge
from console.text import clean, size

EVERY_SECONDS = 0.5
# What nobody calls an image, and what a file is called that is not there.
ARCHIVE_SUFFIXES = (
    *(".tar", ".tgz", ".tzst", ".txz", ".tbz", ".tbz2"),
    *(".gz", ".zst", ".xz", ".bz2", ".oci", ".bundle"),
)
_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")  # of an image

archives_argument = click.argument(
    "archives",
    nargs=-1,
    required=True,
    metavar="ARCHIVE...",
    type=click.Path(path_type=Path),
)
to_option = click.option(
    "--to",
    "selector",
    required=True,
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="The nodes: labels, or @NAME.",
)


def read_archives(paths: Sequence[Path]) -> list[ArchiveIndex]:
    """What the archives hold; a compressed one is read whole, unless it was before.

    Raises:
        ProblemError: `archive.*`.
    """
    cache = IndexCache(cache_folder() / "archives")
    found = []
    for path in paths:
        _check_is_file(path)
        told = Reading(path.name)
        try:
            found.append(cache.index(path.absolute(), heard=told.heard))
        finally:
            told.clear()
    return found


def is_archive(subject: str) -> bool:
    """Whether somebody means a file or a folder, not the name of an image."""
    path = Path(subject)
    looks = subject.startswith((".", "/", "~")) or subject.lower().endswith(ARCHIVE_SUFFIXES)
    return looks or path.exists()


def _check_is_file(path: Path) -> None:
    """Raises ProblemError `archive.unreadable` for what looks like an image's name."""
    if is_archive(str(path)) or not _NAME.fullmatch(str(path)):
        return
    raise ProblemError(
        "archive.unreadable",
        f"{path}: there is no such file. Images come from archives: an image's name is not enough",
        params={"archive": str(path)},
        hint=f"Save the image first, then name the file: docker save -o image.tar {path}",
    )


def read_judge(setup: Setup, indexes: Sequence[ArchiveIndex]) -> ArchiveJudge:
    """What their images need to run; their layers are looked into, unless they were before.

    Raises:
        ProblemError: `archive.*`, `compatibility.tables`, `settings.unreadable`.
    """
    judge = ArchiveJudge(indexes, read_tables(fleet_file(setup).parent / TABLES_FILE))
    told = Reading("archives", verb="looking into")

    def heard(index: ArchiveIndex, done: int, total: int) -> None:
        told.name = clean(Path(index.path).name)
        told.heard(done, total)

    try:
        judge.look(NeedsCache(cache_folder() / "needs"), heard)
    finally:
        told.clear()
    return judge


def verified_cache() -> VerifiedCache:
    """Which layers of archives were read to their end before."""
    return VerifiedCache(cache_folder() / "verified")


class Reading:
    """One line on a terminal that says how far the reading is; nothing elsewhere."""

    def __init__(self, name: str, *, verb: str = "reading") -> None:
        self.name, self._verb = clean(name), verb
        self._at: float | None = None  # when it was told last
        self._terminal = sys.stderr.isatty()

    def heard(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._terminal or (self._at is not None and now - self._at < EVERY_SECONDS):
            return
        self._at = now
        line = f"{self._verb} {self.name}: {size(done)} of {size(total)}"
        sys.stderr.write(f"\r{cut(line, shutil.get_terminal_size().columns - 1)}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._at is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def cache_folder() -> Path:
    """Where what was found in archives is kept: a folder in it for each kind."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "roost"
