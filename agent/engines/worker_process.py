"""A worker as a process: its events, what else it prints, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.engines.events import Cancelled, Done, Event, Failed, read_event
from agent.protocol.problems import ProblemError

# What a builder that can be cancelled gets to do so, before it is killed.
CANCEL_SECONDS = 1.5
PIECE_BYTES = 64 * 1024
LINE_LIMIT_BYTES = 256 * 1024
LAST_WORDS = 500
# This line says it all, whatever may follow it.
LAST = (Done, Failed, Cancelled)


class BuildLog:
    """All that a worker prints, up to a limit; a builder may print without end."""

    def __init__(self, file: Path, *, limit: int = 4 * 1024 * 1024) -> None:
        self._file, self._left = file, limit
        self.tail = b""  # of standard error

    def open(self) -> None:
        """Raises OSError."""
        self._file.write_bytes(b"")

    def add(self, data: bytes) -> None:
        """Blocks. A disk that is full ends the log, not the build."""
        piece, self._left = data[: self._left], self._left - min(len(data), self._left)
        if piece:
            if not self._left:
                piece += b"\n[no more is kept]\n"
            with contextlib.suppress(OSError), self._file.open("ab") as file:
                file.write(piece)


async def run_worker(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    seen: Callable[[Event], None],
    log: BuildLog,
) -> None:
    """Until it has ended by itself; a cancellation ends it, and everything that it started.

    Raises:
        ProblemError: `engine.*`: the worker's own, or `engine.worker` where it gave none.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=PIECE_BYTES,
        )
    except OSError as error:
        raise _silent(f"{command[0]} cannot be started: {error.strerror}") from None
    assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
    assert process.stderr is not None  # noqa: S101
    words = asyncio.create_task(_keep(process.stderr, log), name="worker's standard error")
    last: Event | None = None
    try:
        async for line in _lines(process.stdout):
            await asyncio.to_thread(log.add, line + b"\n")
            try:
                event = read_event(line)
            except msgspec.MsgspecError:
                continue  # a line that a library printed; it is in the log
            if isinstance(event, LAST):
                last = event
            else:
                seen(event)
        code = await process.wait()
    except BaseException:
        await _end(process)
        raise
    finally:
        # What it left behind in its session must not hold the GPU, nor our pipe.
        _signal(process.pid, signal.SIGKILL)
        await words
    if isinstance(last, Failed):
        raise last.problem()
    if not isinstance(last, Done) or code:
        raise _silent(_how(code) + _quoted(log.tail))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines; the rest of one that is too long is left out."""
    line, skipping = b"", False
    while piece := await stream.read(PIECE_BYTES):
        *whole, rest = (line + piece).split(b"\n")
        for each in whole:
            if not skipping:
                yield each
            skipping = False
        skipping = skipping or len(rest) > LINE_LIMIT_BYTES
        line = b"" if skipping else rest
    if line:
        yield line


async def _keep(stream: asyncio.StreamReader, log: BuildLog) -> None:
    while piece := await stream.read(PIECE_BYTES):
        log.tail = (log.tail + piece)[-LAST_WORDS:]
        await asyncio.to_thread(log.add, piece)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask, then kill. A second cancellation kills at once."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), CANCEL_SECONDS)
        except asyncio.TimeoutError:
            pass
        finally:
            _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _how(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"the builder was ended by {name}"
    return f"the builder ended with {code} and did not say how it went"


def _quoted(tail: bytes) -> str:
    words = tail.decode("utf-8", "replace").strip().splitlines()
    return f"; its last words: {words[-1]}" if words else ""


def _silent(text: str) -> ProblemError:
    return ProblemError(
        "engine.worker",
        text,
        hint="SIGKILL often means that the machine ran out of memory; the job's log has the rest.",
    )
