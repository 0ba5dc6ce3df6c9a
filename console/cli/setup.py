"""What was said before the noun. Imports next to nothing: every command pays for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Setup(NamedTuple):
    """The options of `roost` itself."""

    fleet_file: Path | None = None
    """None: the person's own, or this machine where they have none."""
    timeout: float | None = None
    """Seconds, to get through and for each answer."""
    read_only: bool = False
    passing: bool = False
    """Whether nodes and rollouts end with this command, as the demo's do."""

    def refuse_changes(self, what: str) -> None:
        """Raises ProblemError `console.read_only` where nothing may be changed."""
        if self.read_only:
            from agent.protocol.problems import ProblemError

            raise ProblemError(
                "console.read_only",
                f"{what} changes something, and this console was asked to change nothing",
                hint="Leave out --read-only.",
            )
