"""Workers on the node itself that outlive their agent: nobody hears them, and they hold a GPU."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from pathlib import Path

DESCRIPTION = "job.json"

log = logging.getLogger(__name__)


def end_orphans(folder: Path, *, worker: str, procfs: Path = Path("/proc")) -> list[int]:
    """Kill workers, and what they started, whose description lies below `folder`; their PIDs.

    Blocks. Call it when no worker of this agent runs. An agent that may not look finds none.
    """
    found = []
    for process in procfs.iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            named = [Path(os.fsdecode(each)) for each in arguments if each]
            if any(each.name == worker for each in named) and any(
                each.name == DESCRIPTION and each.is_relative_to(folder) for each in named
            ):
                # Each has a session of its own, so that its number is that of its group, too.
                os.killpg(int(process.name), signal.SIGKILL)
                found.append(int(process.name))
                log.info("ended a builder that was left over, process %s", process.name)
    return found
