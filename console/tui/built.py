"""Which TensorRT engines each node has, as it was asked last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.protocol.engine_figures import EngineBench
from console.tui.answers import FollowedAnswers

if TYPE_CHECKING:
    from agent.protocol.engines import Engine


class Built(FollowedAnswers["list[Engine]"]):
    """One for all screens. A node is asked again when its jobs have changed engines."""

    def __init__(self) -> None:
        super().__init__(lambda client: client.engines.list(), "engine.")

    def models(self, node: str) -> dict[str, list[Engine]]:
        """What is known, by model, newest first; empty also where the node did not answer."""
        found: dict[str, list[Engine]] = {}
        for engine in self.said.get(node, ()):
            found.setdefault(engine.model, []).append(engine)
        return found


class Benches(FollowedAnswers[list[EngineBench]]):
    """What nodes measured of engines. A node is asked again for each row of a bench."""

    def __init__(self) -> None:
        super().__init__(lambda client: client.engines.benches(), "engine.bench")
