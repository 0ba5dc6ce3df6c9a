"""The log of a job: lines in memory for a moment, then in the database, in batches."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable

from agent.jobs.finishing import finish
from agent.jobs.job_store import JobStore
from agent.protocol.jobs import JobLogLine
from agent.protocol.problems import ProblemError

# The newest lines of each job. At 100 bytes a line and with 200 jobs that is 80 MB at the most.
KEPT_LINES = 4000
LINE_CHARACTERS = 2000
# A follower sees a line that late at most; what comes in between is one event.
FOLLOW_SECONDS = 0.25

log = logging.getLogger(__name__)


class JobLog:
    """Lines may be added from any thread; the rest belongs to the event loop."""

    def __init__(self, store: JobStore, job: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._job = job
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = asyncio.Lock()
        # Bounded: what does not fit would be dropped from the database too.
        self._pending: deque[JobLogLine] = deque(maxlen=KEPT_LINES)
        self._last = 0

    async def go_on(self) -> None:
        """Count from the last line that a former agent wrote."""
        self._last = await asyncio.to_thread(self._store.last_line, self._job)

    def add(self, text: str) -> None:
        """One line, or several; an over-long one is cut."""
        now = self._clock()
        with self._lock:
            for line in text.splitlines() or [""]:
                self._last += 1
                cut = line if len(line) <= LINE_CHARACTERS else line[:LINE_CHARACTERS] + "..."
                self._pending.append(JobLogLine(number=self._last, at=now, text=cut))

    async def flush(self) -> None:
        """Write what is pending. A database that fails keeps it pending, and the job goes on."""
        if not self._pending:
            return
        try:
            await finish(self._flush())
        except ProblemError as problem:
            log.warning("log of job %s: %s", self._job, problem.detail)

    async def _flush(self) -> None:
        async with self._writing:
            with self._lock:
                lines = list(self._pending)
            if not lines:
                return
            await self._store.aside(self._store.add_lines, self._job, lines, kept=KEPT_LINES)
            with self._lock:
                while self._pending and self._pending[0].number <= lines[-1].number:
                    self._pending.popleft()

    async def read(
        self, after: int, ended: Callable[[], bool], *, follow: bool
    ) -> AsyncGenerator[list[JobLogLine], None]:
        """Lines after that number in batches; with `follow` until `ended`."""
        while True:
            last_look = ended() or not follow
            await self.flush()
            while lines := await asyncio.to_thread(self._store.lines, self._job, after):
                after = lines[-1].number
                yield lines
            if last_look:
                return
            while True:
                await asyncio.sleep(FOLLOW_SECONDS)
                if self._last > after or ended():
                    break
