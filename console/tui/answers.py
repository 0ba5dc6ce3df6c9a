"""What nodes said when they were asked last. Asked when somebody looks, never followed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from agent.protocol.problems import Problem, ProblemError

if TYPE_CHECKING:
    from console.fleet.picture import NodeView
    from console.tui.ports import Fleet, NodeClient

Answer = TypeVar("Answer")

_AT_ONCE = 16
# Nodes in these states would only be waited for.
_AWAY = frozenset({"offline", "refused"})


class Answers(Generic[Answer]):
    """Answers of nodes, with their times. One for all screens: what was read stays."""

    def __init__(self, ask: Callable[[NodeClient], Awaitable[Answer]]) -> None:
        self.said: dict[str, Answer] = {}
        self.problems: dict[str, Problem] = {}
        """Why a node did not answer when it was asked last; what it said before stays."""
        self.read_at: dict[str, float] = {}
        """Unix seconds of the last answer."""
        self.version = 0
        """Another number whenever something has changed."""
        self._question = ask
        self._readers = 0

    @property
    def reading(self) -> bool:
        """Whether nodes are being asked."""
        return self._readers > 0

    async def read(self, fleet: Fleet, names: Iterable[str]) -> None:
        """Ask these nodes; each answer is here as soon as it came. Raises nothing."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                await self._ask(fleet, name)

        self._readers += 1
        try:
            await asyncio.gather(*map(one, names))
        finally:
            self._readers -= 1
            self.version += 1

    async def _ask(self, fleet: Fleet, name: str) -> None:
        view = fleet.nodes.get(name)
        if view is None:
            return
        if view.state in _AWAY and view.problem is not None:
            self.problems[name] = view.problem
        else:
            try:
                self.said[name] = await self._question(fleet.client(name))
            except ProblemError as error:
                self.problems[name] = error.problem()
            else:
                self.problems.pop(name, None)
                self.read_at[name] = time.time()
        self.version += 1

    def oldest(self, names: Iterable[str]) -> float | None:
        """When the oldest of these nodes' answers came, in Unix seconds; None: there is none."""
        return min((self.read_at[name] for name in names if name in self.read_at), default=None)


class FollowedAnswers(Answers[Answer]):
    """Answers about what jobs change: a node is asked again when one of those has moved."""

    def __init__(self, ask: Callable[[NodeClient], Awaitable[Answer]], kinds: str) -> None:
        """`kinds` is what the jobs' kinds begin with: "workload."."""
        super().__init__(ask)
        self._kinds = kinds
        self._jobs: dict[str, frozenset[tuple[str, str]]] = {}

    def has_moved(self, view: NodeView) -> bool:
        """Whether such a job began, ended or came further there since this was asked last."""
        now = frozenset(
            (key, f"{record.get('state')} {record.get('stage')}")
            for key, record in view.sections.get("jobs", {}).items()
            if str(record.get("kind")).startswith(self._kinds)
        )
        before = self._jobs.get(view.name)
        self._jobs[view.name] = now
        return before is not None and before != now
