"""Starting a process beside the console, so that it ends with the console however that ends."""

from __future__ import annotations

import contextlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, final

from agent.protocol.problems import ProblemError

if TYPE_CHECKING:
    from typing_extensions import Self  # Python 3.11 has it in typing

STOP_SECONDS = 10.0
PIECE_BYTES = 1 << 20
# By a name alone an index may give another package that has it.
AGENT_PART = "Install the wheel of Roost with its agent: pip install 'WHEEL[console,agent]'"


def find_agent_command() -> Path:
    """Where `roost-agent` is: beside this Python, or in PATH.

    Raises:
        ProblemError: `console.agent_missing`.
    """
    beside = Path(sys.executable).with_name("roost-agent")
    found = str(beside) if beside.is_file() else shutil.which("roost-agent")
    if found is None:
        raise ProblemError(
            "console.agent_missing",
            f"there is no roost-agent beside {sys.executable} and none in PATH",
            hint=AGENT_PART,
        )
    return Path(found)


class Child:
    """A process that ends when its standard input closes.

    We hold the other end, and the kernel closes it for us even after `kill -9`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        # A file without a name: a pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            # Ctrl-C in the terminal is the console's to act on.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def read_line(self, timeout_seconds: float) -> bytes | None:
        """The next line of its standard output; None: it ended, or said nothing for so long."""
        stream = self._process.stdout
        if stream is None:
            return None
        deadline = time.monotonic() + timeout_seconds
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stream], [], [], left)[0]:
                return None
            piece = stream.read(PIECE_BYTES)
            if not piece:
                return None
            line += piece
        return line

    def last_words(self) -> str:
        """Its last error on standard error, or else the last line there."""
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        lines = [line for line in reversed(text.splitlines()) if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return [*errors, *lines, "it left no message"][0]

    def stop(self) -> None:
        """Let it end, and wait for that."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


@final
class AgentProcess(Child):
    """One `roost-agent` with `--with-parent`.

    Args:
        arguments: The verb and its options.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__([str(find_agent_command()), *arguments, "--with-parent"])
