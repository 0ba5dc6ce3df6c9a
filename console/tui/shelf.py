"""Which images each node has, as it was asked last."""

from __future__ import annotations

from agent.protocol.images import NodeImage
from console.tui.answers import Answers


class Shelf(Answers[list[NodeImage]]):
    """One for all screens."""

    def __init__(self) -> None:
        super().__init__(lambda client: client.images())

    @property
    def images(self) -> dict[str, list[NodeImage]]:
        """By node."""
        return self.said
