"""The rollouts of this host's journal, as they were read last. Nothing here blocks the screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.protocol.problems import Problem, ProblemError

if TYPE_CHECKING:
    from console.rollouts.journal import Asked, Journal
    from console.rollouts.record import Event, Judged, Rollout
    from console.rollouts.supervisor import Supervision

# A runner that was asked for has its lock after this.
STARTING_SECONDS = 15.0
# A file's time may miss a change in the same few milliseconds, so all is read again after this.
AGAIN_SECONDS = 15.0
Mark = tuple[tuple[int, int], ...]


class Desk(Protocol):
    """What screens do with rollouts, as the command line does it."""

    @property
    def by(self) -> str:
        """Who is at the keyboard."""

    @property
    def host(self) -> str:
        """This machine, where runners are started."""

    def journal(self) -> Journal:
        """This host's."""

    def steer(self, rollout_id: str) -> str:
        """See that somebody steers it; what that means. Blocks. Raises ProblemError."""

    def start(self, rollout_id: str) -> str:
        """As `roost rollout start`: its checks, its beginning, its runner. Blocks.

        Raises:
            ProblemError: `rollout.start`.
        """


class Rollouts:
    """One for all screens."""

    def __init__(self, desk: Desk | None = None, *, bell: bool = True) -> None:
        """`bell`: whether the terminal's is rung when one needs a person."""
        self.desk = desk
        self.bell = bell
        self.listed: list[Rollout] = []
        """The newest first."""
        self.steered: frozenset[str] = frozenset()
        """Ids of those that a runner is at work on."""
        self.problem: Problem | None = None
        """Why the journal was not read; what was read before stays."""
        self.read_at: float | None = None
        self.supervisor: Supervision | None = None
        self._mark: Mark | None = None
        self._read_all_at = 0.0
        self._asked_at: dict[str, float] = {}
        self._one = asyncio.Lock()

    async def look(self) -> None:
        """Read what has changed. Raises nothing."""
        if self.desk is None:
            return
        async with self._one:
            try:
                self.listed, self.steered = await asyncio.to_thread(self._read, self.desk)
                self.problem, self.read_at = None, time.time()
            except ProblemError as error:
                self.problem = error.problem()

    def _read(self, desk: Desk) -> tuple[list[Rollout], frozenset[str]]:
        from console.rollouts.locks import locked
        from console.rollouts.supervisor import supervision

        journal = desk.journal()
        mark = mark_of(journal.folder)
        listed = self.listed
        if mark != self._mark or time.monotonic() - self._read_all_at > AGAIN_SECONDS:
            self._read_all_at = time.monotonic()
            listed = journal.rollouts() if mark else []
        self._mark = mark
        open_ones = [each.id for each in listed if each.wants_runner]
        steered = frozenset(each for each in open_ones if locked(journal.folder, each))
        self.supervisor = supervision(journal.folder) if open_ones else None
        return listed, steered

    def asked_to_steer(self, rollout_id: str) -> None:
        """A runner was asked for just now."""
        self._asked_at[rollout_id] = time.monotonic()

    def is_starting(self, rollout_id: str) -> bool:
        """Whether a runner was asked for, and may not be at work yet."""
        at = self._asked_at.get(rollout_id)
        return at is not None and time.monotonic() - at < STARTING_SECONDS


class Followed(NamedTuple):
    """What was read of one rollout."""

    rollout: Rollout
    events: list[Event]  # those that are new
    wishes: Sequence[Asked]  # that no runner has taken yet
    judged: Judged | None  # of the node that was asked for
    steered: bool = False


class Follower:
    """Reads one rollout of the journal, and only what is new."""

    def __init__(self, desk: Desk, start: str) -> None:
        """`start` begins its id; empty: the newest."""
        self.desk = desk
        self.start = start
        self.rollout_id: str | None = None
        self._told = 0
        self._read_at = 0.0
        self._mark: Mark | None = None
        self._last: tuple[str | None, Followed] | None = None

    async def look(self, node: str | None) -> Followed:
        """As it is now, with what the judge says of `node`. One at a time.

        Raises:
            ProblemError: `rollout.*`.
        """
        return await asyncio.to_thread(self._read, node)

    def _read(self, node: str | None) -> Followed:
        from console.rollouts.finding import find_rollout
        from console.rollouts.locks import locked

        journal = self.desk.journal()
        mark = mark_of(journal.folder)
        if self.rollout_id is None:
            self.rollout_id = find_rollout(journal, self.start).id
        name = self.rollout_id
        fresh = time.monotonic() - self._read_at < AGAIN_SECONDS
        if self._last is not None and fresh and mark == self._mark and node == self._last[0]:
            found = self._last[1]._replace(events=[])
        else:
            self._read_at = time.monotonic()
            events = journal.events(name, after=self._told)
            self._told = max([self._told, *(number for number, _ in events)])
            found = Followed(
                journal.load(name),
                [event for _, event in events],
                journal.wishes(name),
                judged=journal.judged_at(name, node) if node is not None else None,
            )
        self._mark = mark
        wanted = found.rollout.wants_runner or found.wishes
        found = found._replace(steered=bool(wanted) and locked(journal.folder, name))
        self._last = (node, found)
        return found


def mark_of(folder: Path) -> Mark:
    """Differs when the journal in it has changed; empty where there is none. Blocks."""
    from console.rollouts.journal_file import FILE

    found = []
    for name in (FILE, f"{FILE}-wal"):
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
