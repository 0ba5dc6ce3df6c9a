"""What is asked about: a name that nodes have images of, or an image of an archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.protocol.images import NodeImage
from console.images.holders import Held, by_tag, for_node

if TYPE_CHECKING:
    from agent.rules.compatibility import Judge
    from console.images.judging import ArchiveJudge


class Subject:
    """A line of the matrix. `held` are the images of that name, the most common one first;
    `path` is the archive that it is in instead."""

    def __init__(
        self,
        key: str,
        title: str,
        *,
        held: Sequence[Held] = (),
        path: Path | None = None,
        judge: ArchiveJudge | None = None,
    ) -> None:
        self.key, self.title, self.held, self.path = key, title, held, path
        self._judge = judge
        self._on = {node: each for each in held for node in each.nodes}
        self._fallback: dict[str, Held] = {}  # by architecture
        self._archived: dict[str, Judge | None] = {}

    @property
    def nodes(self) -> Collection[str]:
        """Those that have an image of that name."""
        return self._on

    def on(self, node: str, architecture: str) -> Held:
        """The image that the node has, else the one that it would be judged by."""
        held = self._on.get(node) or self._fallback.get(architecture)
        if held is None:
            held = self._fallback[architecture] = for_node("", architecture, self.held)
        return held

    def archived(self, architecture: str) -> Judge | None:
        """Of the archive's image for that CPU; of another, where none is for it."""
        if architecture not in self._archived:
            from console.images.judging import name_of

            several = [] if self._judge is None else self._judge.judges_for(architecture)
            named = (judge for image, judge in several if name_of(image) == self.title)
            self._archived[architecture] = next(named, None)
        return self._archived[architecture]


def subjects_of_nodes(found: Mapping[str, Sequence[NodeImage]]) -> list[Subject]:
    """One for each tag; images without one are leftovers."""
    return [Subject(tag, tag, held=held) for tag, held in by_tag(found).items()]


def subjects_of_archive(path: Path, judge: ArchiveJudge) -> list[Subject]:
    """One for each name in it, whatever CPUs it is for."""
    return [Subject(f"{path} {name}", name, path=path, judge=judge) for name in judge.names()]
