"""Whether the image of a workload can run on this node: told in every plan, never refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.containers.images_runtime import ImageRuntime
from agent.protocol.compatibility import Reason, Verdict
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.compatibility import Judge
from agent.rules.tables import Tables, built_in, read_tables
from agent.rules.variants import Choice, best_variant

log = logging.getLogger(__name__)


class CanRun:
    """By the image's config, and by its files where somebody has looked at them before."""

    def __init__(
        self, runtime: ImageRuntime, facts: Callable[[], NodeFacts], *, tables: Path | None
    ) -> None:
        """`tables`: the operator's file; None: only Roost's own rows."""
        self._runtime, self._facts, self._file = runtime, facts, tables
        self._tables: Tables | None = None

    async def verdict(self, image: str) -> Verdict | None:
        """None: the runtime does not tell what the image needs."""
        found = await self._judge(image)
        return None if found is None else found(self._facts())

    async def best(self, images: Mapping[str, str]) -> Choice:
        """Which of these images runs best here: ids by the names that people know."""
        judges = {name: await self._judge(image) for name, image in images.items()}
        known = {name: found for name, found in judges.items() if found is not None}
        return best_variant(known, self._facts())

    async def _judge(self, image: str) -> Judge | None:
        try:
            needs = await self._runtime.image_needs(image)
        except ProblemError as problem:
            log.info("what %s needs is not known: %s", image, problem.detail)
            return None
        if self._tables is None:
            self._tables = await asyncio.to_thread(self._read)
        return Judge(needs, self._tables)

    def _read(self) -> Tables:
        if self._file is None:
            return built_in()
        try:
            return read_tables(self._file)
        except ProblemError as problem:
            log.warning("Roost's own tables are used: %s", problem.detail)
            return built_in()


def warnings_of(verdict: Verdict, gpus: Sequence[str]) -> list[str]:
    """What speaks against the node, and against those of its GPUs that were chosen."""
    reasons: dict[Reason, None] = dict.fromkeys(verdict.reasons)
    for gpu in verdict.gpus:
        if gpu.uuid in gpus:
            reasons |= dict.fromkeys(gpu.reasons)
    return [
        f"the image cannot run here: {each.what} {each.mend}"
        if each.ability == "fails"
        else f"{each.what} {each.mend}"
        for each in reasons
        if each.ability in ("fails", "warns")
    ]
