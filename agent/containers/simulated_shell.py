"""A shell that is none, for exec on containers that are not there."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from typing import NamedTuple

from agent.containers.frames import StreamName
from agent.protocol.containers import ExecExit, ExecOutput, ExecRequest
from agent.protocol.problems import ProblemError

SHELLS = ("sh", "/bin/sh", "bash", "/bin/bash")
HELP = "This shell is simulated. It knows: cat echo env exit help hostname ls nvidia-smi pwd\n"
_FOLDERS = "bin dev etc models proc sys tmp usr\n"
_NOT_FOUND = 127
_END_OF_INPUT = b"\x04"
_INTERRUPT = b"\x03"
_ERASE = (b"\x7f", b"\x08")


class Said(NamedTuple):
    """What one command wrote and how it ended. `ends`: the shell ends with it."""

    out: str = ""
    err: str = ""
    code: int = 0
    ends: bool = False


class SimulatedShell:
    """Runs one line at a time.

    Args:
        nvidia_smi: what `nvidia-smi -L` prints here; None: there is no such program.
    """

    def __init__(self, *, hostname: str, nvidia_smi: str | None) -> None:
        self._hostname, self._nvidia_smi = hostname, nvidia_smi

    def knows(self, program: str) -> bool:
        """Whether there is such a program."""
        name = program.rpartition("/")[2]
        return name in ("cat", "echo", "env", "hostname", "ls", "pwd", "true", "false") or (
            name == "nvidia-smi" and self._nvidia_smi is not None
        )

    def run_line(self, line: str) -> Said:
        """A line as typed."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            return Said(err=f"sh: {error}\n", code=2)
        return self.run(words) if words else Said()

    def run(self, words: list[str]) -> Said:
        """A program with its arguments."""
        name = words[0].rpartition("/")[2]
        if name == "exit":
            code = words[1] if len(words) > 1 else "0"
            return Said(code=int(code) % 256 if code.isdigit() else 2, ends=True)
        if name == "help":
            return Said(out=HELP)
        if not self.knows(words[0]):
            return Said(err=f"sh: {words[0]}: not found (simulated)\n", code=_NOT_FOUND)
        if name == "nvidia-smi":
            return self._run_nvidia_smi(words[1:])
        return Said(
            out={
                "echo": " ".join(words[1:]) + "\n",
                "env": "PATH=/usr/bin:/bin\nSIMULATED=1\n",
                "hostname": f"{self._hostname}\n",
                "ls": _FOLDERS,
                "pwd": "/\n",
            }.get(name, ""),
            code=1 if name == "false" else 0,
        )

    def _run_nvidia_smi(self, arguments: list[str]) -> Said:
        if arguments != ["-L"]:
            return Said(err="simulated: only `nvidia-smi -L` is known here\n", code=2)
        text = self._nvidia_smi or ""
        return Said(out=text if text.endswith("\n") or not text else f"{text}\n")


class SimulatedExec:
    """See `runtime.ExecSession`. Everything happens when it is asked for: no task, no thread.

    Raises:
        ProblemError: `exec.command`, the program is not one of the few that are known.
    """

    def __init__(self, exec_id: str, request: ExecRequest, shell: SimulatedShell) -> None:
        self.id = exec_id
        self._shell, self._tty = shell, request.tty
        self._takes_input = request.stdin
        self._typed = bytearray()
        self._waiting: list[ExecOutput | ExecExit] = []
        self._ended = False
        self._changed = asyncio.Event()
        self._cat = request.command[:1] == ["cat"] and request.stdin
        self._begin(request)

    async def output(self) -> AsyncIterator[ExecOutput | ExecExit]:
        """What it writes, then how it ended."""
        while True:
            ready, self._waiting = self._waiting, []
            for one in ready:
                yield one
            if self._ended and not self._waiting:
                return
            if not self._waiting:
                self._changed.clear()
                await self._changed.wait()

    async def write(self, data: bytes) -> None:
        """Type; the answer waits in `output`."""
        if self._ended or not self._takes_input:
            raise ProblemError("exec.not_found", "the command's input is closed")
        if self._cat:
            self._say(data)
            return
        for number in data:
            self._key(bytes((number,)))

    async def close_input(self) -> None:
        """No more input: a shell ends by that."""
        if not self._ended and self._takes_input:
            self._takes_input = False
            if self._typed and not self._cat:
                self._enter()
            self._end(0)

    async def resize(self, columns: int, rows: int) -> None:
        """Nothing here depends on the size."""

    async def close(self) -> None:
        """End it."""
        self._end(None, "closed")

    def _begin(self, request: ExecRequest) -> None:
        program = request.command[0] if request.command else ""
        if program in SHELLS and request.command[1:2] == ["-c"]:
            self._tell(self._shell.run_line(" ".join(request.command[2:3])), last=True)
        elif program in SHELLS and request.stdin:
            self._say(HELP.encode())
            self._prompt()
        elif program in SHELLS:
            self._end(0)
        elif self._cat:
            return
        elif self._shell.knows(program):
            self._tell(self._shell.run(request.command), last=True)
        else:
            raise ProblemError(
                "exec.command",
                f"the simulated container has no {program!r}",
                params={"command": request.command, "exit_code": _NOT_FOUND},
                hint=HELP.strip(),
            )

    def _key(self, key: bytes) -> None:
        if self._ended:
            return
        if key == _END_OF_INPUT and self._tty and not self._typed:
            self._end(0)
        elif key == _INTERRUPT and self._tty:
            self._typed.clear()
            self._say(b"^C\n")
            self._prompt()
        elif key in _ERASE and self._tty:
            if self._typed:
                del self._typed[-1:]
                self._say(b"\b \b")
        elif key in (b"\n", b"\r"):
            if self._tty:
                self._say(b"\n")
            self._enter()
        else:
            self._typed += key
            if self._tty:
                self._say(key)

    def _enter(self) -> None:
        line = self._typed.decode(errors="replace")
        self._typed.clear()
        said = self._shell.run_line(line)
        self._tell(said, last=said.ends)
        if not self._ended:
            self._prompt()

    def _tell(self, said: Said, *, last: bool) -> None:
        self._say(said.out.encode())
        self._say(said.err.encode(), error=True)
        if last:
            self._end(said.code)

    def _prompt(self) -> None:
        if self._tty:
            self._say(b"simulated # ")

    def _say(self, data: bytes, *, error: bool = False) -> None:
        if not data or self._ended:
            return
        if self._tty:
            data = data.replace(b"\n", b"\r\n")
        stream: StreamName = "stderr" if error and not self._tty else "stdout"
        self._waiting.append(ExecOutput(stream=stream, data=data))
        self._changed.set()

    def _end(self, code: int | None, reason: str | None = None) -> None:
        if not self._ended:
            self._ended = True
            self._waiting.append(ExecExit(code=code, reason=reason))
            self._changed.set()
