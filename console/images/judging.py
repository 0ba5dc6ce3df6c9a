"""Whether images can run on nodes: judged here, by what the nodes say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.needs_cache import NeedsCache
from agent.protocol.compatibility import ABILITIES, ImageNeeds, Reason, Verdict
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.compatibility import Judge
from agent.rules.tables import Tables
from console.images.archives import LINUX

TABLES_FILE = "compatibility.json"  # beside fleet.yaml; agent.rules.tables says what may be in it


class Judged(msgspec.Struct, kw_only=True):
    """One image on one node. `seen_at` None: by what the node says now, else as of then."""

    image: str  # a name of it, or its digest
    digest: str  # of its config, or the runtime's own id
    needs: ImageNeeds
    verdict: Verdict
    seen_at: float | None = None  # Unix time


class ArchiveJudge:
    """The images of archives, looked into once and judged for any number of nodes."""

    def __init__(self, archives: Sequence[ArchiveIndex], tables: Tables) -> None:
        self._archives, self.tables = archives, tables
        self._judges: dict[str, Judge] = {}  # by config digest

    def look(self, cache: NeedsCache, heard: Callable[[ArchiveIndex, int, int], None]) -> None:
        """Read what the images need. Takes seconds where an archive is compressed.

        Raises:
            ProblemError: `archive.*`; and what `heard` raises.
        """
        for archive in self._archives:
            images = [image for image in archive.images if image.os in ("", LINUX)]
            wanted = {diff_id for image in images for diff_id in image.diff_ids}

            def told(done: int, total: int, archive: ArchiveIndex = archive) -> None:
                heard(archive, done, total)

            cache.layers(archive, wanted, heard=told)
            others = [each for each in self._archives if each is not archive]
            for image in images:
                needs = cache.needs(archive, image, beside=others, heard=told)
                self._judges[image.config_digest] = Judge(needs, self.tables)

    def __call__(self, facts: NodeFacts, *, seen_at: float | None = None) -> list[Judged]:
        """A verdict for each of the images that a push would bring there."""
        return [
            Judged(
                image=name_of(image),
                digest=image.config_digest,
                needs=judge.needs,
                verdict=judge(facts),
                seen_at=seen_at,
            )
            for image, judge in self.judges_for(facts.host.architecture)
        ]

    def names(self) -> list[str]:
        """What the images that could be judged are called, each name once."""
        images = (image for archive in self._archives for image in archive.images)
        return list(
            dict.fromkeys(name_of(each) for each in images if each.config_digest in self._judges)
        )

    def judges_for(self, architecture: str) -> list[tuple[ArchivedImage, Judge]]:
        """The images that a push would bring to a node with that CPU, each once."""
        found = {
            image.config_digest: (image, self._judges[image.config_digest])
            for image in self._images_for(architecture)
            if image.config_digest in self._judges
        }
        return list(found.values())

    def _images_for(self, architecture: str) -> Iterable[ArchivedImage]:
        for archive in self._archives:
            try:
                yield from archive.for_platform(LINUX, architecture)
            except ProblemError:
                # None is for that CPU: each says so itself.
                yield from archive.images


def name_of(image: ArchivedImage) -> str:
    """What it is called: its first tag, else its digest."""
    return image.tags[0] if image.tags else image.config_digest


def deciding(verdict: Verdict) -> list[Reason]:
    """What made the verdict what it is: of the node, else of its best GPU."""
    if verdict.ability == "runs":
        return []
    best = min(verdict.gpus, key=lambda gpu: ABILITIES.index(gpu.ability), default=None)
    reasons = [*verdict.reasons, *(best.reasons if best else [])]
    return [reason for reason in reasons if reason.ability == verdict.ability]
