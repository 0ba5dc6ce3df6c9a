"""The archives of a rollout as a runner reads them: as the plan saw them, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.archives.cache import IndexCache
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import unheard
from agent.archives.needs_cache import NeedsCache
from agent.protocol.problems import ProblemError
from agent.rules.tables import Tables
from console.images.judging import ArchiveJudge
from console.rollouts.needs import Supplies
from console.rollouts.parcels import Parcels, remembered
from console.rollouts.record import ArchiveFile


def read_supplies(files: Sequence[ArchiveFile], *, caches: Path, tables: Tables) -> Supplies:
    """The archives again. Blocks: one that is compressed and was not kept is read whole.

    Args:
        caches: the folder with what was found in archives before.
        tables: of drivers and GPUs.

    Raises:
        ProblemError: `archive.changed`: one has other images than the plan saw; `archive.*`.
    """
    index = IndexCache(caches / "archives")
    found = [_as_planned(file, index) for file in files]
    judge = ArchiveJudge(found, tables)

    def heard(archive: ArchiveIndex, done: int, total: int) -> None:
        del archive
        unheard(done, total)

    judge.look(NeedsCache(caches / "needs"), heard)
    return Supplies(Parcels(found), judge)


def _as_planned(file: ArchiveFile, cache: IndexCache) -> ArchiveIndex:
    found = cache.index(Path(file.path))
    if remembered(found).digest != file.digest:
        raise ProblemError(
            "archive.changed",
            f"{file.path} has other images than when the rollout was planned",
            params={"file": file.path},
            hint="Put the archive back as it was, or plan again.",
        )
    return found
