"""Where proxies run: each in something of its own that outlives the agent."""

from __future__ import annotations

from typing import Protocol

# How HAProxy is run; a stop with SIGUSR1 lets what goes on end, and takes nothing new.
ARGUMENTS = ("-db", "-f")
STOP_SECONDS = 15
OPEN_FILES = 10_000
PREFIX = "roost-traffic"


class Home(Protocol):
    """Runs the proxies of one node.

    Methods that act raise ProblemError `traffic.not_started` and, of containers, `runtime.*`.
    """

    async def why_not(self) -> str | None:
        """Why nothing can run here; None: it can."""

    def folder(self, workload: str) -> str:
        """Where a proxy finds its files, as it sees them itself."""

    def shown(self, workload: str) -> str:
        """What the proxy runs in, for people."""

    async def running(self, workload: str) -> bool:
        """Whether it runs now."""

    async def start(self, workload: str) -> None:
        """Have it run now, again whenever it ends, and after a boot."""

    async def restart(self, workload: str) -> None:
        """Have it read its configuration anew; connections that are open are cut."""

    async def remove(self, workload: str) -> None:
        """It runs no more, and does not come back. One that is not there is well."""

    async def last_words(self, workload: str) -> str:
        """What it said last, for whoever wants to know why it does not run."""
