"""What the terminal interface does with rollouts: as the commands do it."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

from agent.protocol.problems import ProblemError
from console.cli.setup import Setup
from console.fleet.links import stated_owner

# The rest is imported when it is first wanted: the interface shows itself before.
if TYPE_CHECKING:
    from console.rollouts.journal import Journal

# Every node is tried, some at a time, each for as long as a link may take.
START_SECONDS = 900.0


class RolloutDesk:
    """For `console.tui.rollouts`."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._by = stated_owner()

    @property
    def by(self) -> str:
        return self._by

    @property
    def host(self) -> str:
        return socket.gethostname()

    def journal(self) -> Journal:
        from console.cli.rollout_journal import this_journal

        return this_journal()

    def steer(self, rollout_id: str) -> str:
        from console.cli.rollout_runner import begin_steering

        return begin_steering(self._setup, self.journal(), rollout_id)

    def start(self, rollout_id: str) -> str:
        """In a process of its own: it must not have this one's agent of ssh keys."""
        from console.cli.rollout_runner import rollout_command

        environment = {key: value for key, value in os.environ.items() if key != "SSH_AUTH_SOCK"}
        command = [*rollout_command(self._setup), "start", rollout_id, "--detach", "--yes"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                timeout=START_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _not_started(["error: it took too long"], rollout_id) from None
        said = done.stderr.splitlines()
        if done.returncode:
            raise _not_started(said, rollout_id)
        return said[-1] if said else "started"


def _not_started(said: list[str], rollout_id: str) -> ProblemError:
    """From what the command told a person."""
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    return ProblemError(
        "rollout.start",
        " ".join(errors) or " ".join(said[-3:]) or "it does not say why",
        params={"rollout": rollout_id},
        hint=" ".join(hints) or f"Try it there: roost rollout start {rollout_id}",
    )
