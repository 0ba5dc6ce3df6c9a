"""A worker as a process: its output, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from anyio import move_on_after

from agent.engines.build_log import BuildLog
from agent.engines.hearing import CANCEL_SECONDS, Hearing, died

PIECE_BYTES = 64 * 1024
LINE_LIMIT_BYTES = 256 * 1024


async def run_process(
    command: Sequence[str | Path], *, environment: Mapping[str, str], hearing: Hearing
) -> None:
    """Until it has ended by itself; a cancellation ends it, and everything that it started.

    Raises:
        ProblemError: as `Hearing.end`, and `engine.silent`.
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
        raise died(f"{command[0]} cannot be started: {error.strerror}") from None
    assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
    assert process.stderr is not None  # noqa: S101
    words = asyncio.create_task(_keep(process.stderr, hearing), name="worker's standard error")
    try:
        async for line in _lines(process.stdout, hearing):
            await asyncio.to_thread(hearing.log.add, line + b"\n")
            hearing.line(line)
        code = await process.wait()
    except BaseException:
        await _end(process)
        raise
    finally:
        # What it left behind in its session must not hold the GPU, nor our pipe.
        _signal(process.pid, signal.SIGKILL)
        await words
    hearing.end(_how(code), well=not code)


def quiet_log() -> BuildLog:
    """For a worker that is only asked what it has."""
    return BuildLog(Path(os.devnull), limit=0)


async def _lines(stream: asyncio.StreamReader, hearing: Hearing) -> AsyncIterator[bytes]:
    """Lines; the rest of one that is too long is left out."""
    line, skipping = b"", False
    while piece := await _piece(stream, hearing):
        hearing.heard()
        *whole, rest = (line + piece).split(b"\n")
        for each in whole:
            if not skipping:
                yield each
            skipping = False
        skipping = skipping or len(rest) > LINE_LIMIT_BYTES
        line = b"" if skipping else rest
    if line:
        yield line


async def _piece(stream: asyncio.StreamReader, hearing: Hearing) -> bytes:
    """What comes next. Raises ProblemError `engine.silent`: nothing, on no stream."""
    while True:
        with move_on_after(hearing.may_be_silent()):
            return await stream.read(PIECE_BYTES)


async def _keep(stream: asyncio.StreamReader, hearing: Hearing) -> None:
    while piece := await stream.read(PIECE_BYTES):
        hearing.heard()
        await asyncio.to_thread(hearing.log.add_error, piece)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask, then kill. A second cancellation kills at once."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        try:
            with move_on_after(CANCEL_SECONDS):
                await process.wait()
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
