"""What says whether images run, apart from the nodes: tables, and archives of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from agent.rules.tables import Tables
    from console.images.judging import ArchiveJudge

Heard = Callable[[str, int, int], None]
"""Told what is being done, of how many bytes it was done, and how many there are."""


class Looking:
    """Blocks, all of it. Imports what it needs when it is first asked."""

    def __init__(self, environment: Mapping[str, str], folder: Path | None = None) -> None:
        """`folder`: where fleet.yaml is, and tables of the operator may be."""
        base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._cache, self._folder = Path(base) / "roost", folder

    def tables(self) -> Tables:
        """Raises ProblemError `compatibility.tables` or `settings.unreadable`."""
        from agent.rules.tables import built_in, read_tables
        from console.images.judging import TABLES_FILE

        return built_in() if self._folder is None else read_tables(self._folder / TABLES_FILE)

    def look(self, path: Path, tables: Tables, heard: Heard) -> ArchiveJudge:
        """What the images of an archive need. Raises ProblemError `archive.*`, and as `heard`."""
        from agent.archives.cache import IndexCache
        from agent.archives.needs_cache import NeedsCache
        from console.images.judging import ArchiveJudge

        def reading(done: int, total: int) -> None:
            heard("reading", done, total)

        def looking(_: ArchiveIndex, done: int, total: int) -> None:
            heard("looking into", done, total)

        index = IndexCache(self._cache / "archives").index(path.absolute(), heard=reading)
        judge = ArchiveJudge([index], tables)
        judge.look(NeedsCache(self._cache / "needs"), looking)
        return judge
