"""Who steers a rollout holds its lock, which the kernel frees, however they end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.rollouts.journal_file import open_shared

# Whoever looks whether it is held holds it for a moment.
TRIES = 10
AGAIN_SECONDS = 0.05


def locked(folder: Path, rollout_id: str) -> bool:
    """Whether a runner steers it now. Blocks. Raises ProblemError `rollout.journal`."""
    with _file(folder, rollout_id) as handle:
        try:
            # Shared, so that two who look do not take each other for a runner.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


@contextlib.contextmanager
def steering_lock(folder: Path, rollout_id: str) -> Iterator[None]:
    """Steer it alone. Blocks.

    Raises:
        ProblemError: `rollout.steered`: another process does; `rollout.journal`.
    """
    with _file(folder, rollout_id) as handle:
        if not taken(handle):
            raise ProblemError(
                "rollout.steered",
                f"another process steers rollout {rollout_id}",
                params={"rollout": rollout_id},
                hint=f"roost rollout watch {rollout_id}",
            )
        yield


def taken(handle: int) -> bool:
    """Whether the lock of this open file is ours now; else another one holds on to it. Blocks."""
    for left in reversed(range(TRIES)):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if left:
                time.sleep(AGAIN_SECONDS)
        else:
            return True
    return False


@contextlib.contextmanager
def _file(folder: Path, rollout_id: str) -> Iterator[int]:
    path = folder / f"{rollout_id}.lock"
    try:
        handle = open_shared(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ProblemError(
            "rollout.journal", f"{path}: {error.strerror}", hint="May you write there?"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)
