"""The state folder: closed to others, and what the disk refuses told as problems."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.protocol.problems import ProblemError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns an OSError into a ProblemError: `space.full`, or `blob.storage`."""
    try:
        yield
    except OSError as error:
        params = {"path": str(path)}
        if error.errno in NO_SPACE:
            raise ProblemError(
                "space.full",
                f"no space is left for {path}: {error.strerror}",
                params=params,
                hint="Make room on the node, then go on: what arrived so far is kept."
                " `roost image check` shows what could be freed.",
            ) from error
        raise ProblemError(
            "blob.storage",
            f"{path}: {error.strerror or error}",
            params=params,
            hint="Check the node's disk (dmesg), and that the agent may write to that folder.",
        ) from error


def folder_for_us(folder: Path) -> None:
    """Make the folder, open to nobody else."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
