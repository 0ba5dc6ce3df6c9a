"""Runs a command to its end and says what it said when it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping


class CommandFailedError(Exception):
    """A command's exit status was not 0."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        words = " ".join(str(word) for word in done.args)
        said = (done.stderr or done.stdout).strip()
        super().__init__(f"{words}: exit {done.returncode}: {said}")
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr


def run(
    *argv: str,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command with `text`, or nothing, as its input.

    Raises CommandFailedError, unless `check` is False, and subprocess.TimeoutExpired.
    """
    done = subprocess.run(
        argv,
        input=text or "",
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if check and done.returncode:
        raise CommandFailedError(done)
    return done
