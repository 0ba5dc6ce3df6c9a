"""The process of a command in a container, as this machine sees it: to end it.

Neither runtime's API can end an exec, and one whose connection is cut runs on: seen for a shell in
a terminal, `sleep` and `yes` on Docker 20.10 and Podman 4.3. Both tell the pid on the machine, so
where the agent runs on the machine itself and may signal it, it does what a terminal does when its
line is cut. Everything here blocks.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

PROC = Path("/proc")
HANG_UP_SECONDS = 2.0
_KILL_SECONDS = 1.0
_LOOK_SECONDS = 0.02
_IGNORES_HANG_UP = 1 << (signal.SIGHUP - 1)


class CommandProcess(msgspec.Struct, frozen=True):
    """A process on this machine. `started`, in clock ticks since boot, tells it from a later one
    with the same pid; `leads`: its process group is its own, as both runtimes arrange."""

    pid: int
    started: int
    leads: bool


class _Stat(msgspec.Struct, frozen=True):
    state: str
    group: int
    started: int


def find_process(pid: int, container_id: str, procfs: Path = PROC) -> CommandProcess | None:
    """The process, if it is here and belongs to the container by its cgroup; else None.

    None also where /proc is that of another pid namespace: its numbers are not ours to signal.
    """
    stat = _stat(pid, procfs)
    try:
        ours = str((procfs / "self").readlink()) == str(os.getpid())
        groups = (procfs / f"{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if stat is None or not ours or container_id not in groups:
        return None
    return CommandProcess(pid=pid, started=stat.started, leads=stat.group == pid)


def end_process(
    process: CommandProcess, *, hang_up_seconds: float = HANG_UP_SECONDS, procfs: Path = PROC
) -> str | None:
    """Hang up (SIGHUP), and kill (SIGKILL) what does not end by that in time; None when it is over.

    Both go to its whole process group. Jobs that a shell in a terminal gave groups of their own
    get the hang-up from that shell or the kernel. A command that ignores hang-ups, as `nohup`
    makes it, was meant to stay and does.

    Returns:
        Why it still runs, in a few words.
    """

    def runs() -> bool:
        stat = _stat(process.pid, procfs)
        return stat is not None and stat.started == process.started and stat.state not in "ZX"

    if not runs():
        return None
    if _ignores_hang_up(process.pid, procfs):
        return "it ignores hang-ups, as nohup makes a command do"
    try:
        _send(process, signal.SIGHUP)
        _send(process, signal.SIGCONT)  # one that is stopped would not see it
        if _until_over(runs, hang_up_seconds):
            return None
        _send(process, signal.SIGKILL)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "the agent may not signal it"
    return None if _until_over(runs, _KILL_SECONDS) else "it was killed and did not end yet"


def _until_over(runs: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while runs():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _send(process: CommandProcess, number: int) -> None:
    if process.leads:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)


def _stat(pid: int, procfs: Path) -> _Stat | None:
    try:
        text = (procfs / f"{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name may hold spaces and brackets; the third field follows the last bracket.
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], group=int(fields[2]), started=int(fields[19]))


def _ignores_hang_up(pid: int, procfs: Path) -> bool:
    try:
        lines = (procfs / f"{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    for line in lines.splitlines():
        name, _, mask = line.partition(":")
        if name == "SigIgn":
            return bool(int(mask, 16) & _IGNORES_HANG_UP)
    return False
