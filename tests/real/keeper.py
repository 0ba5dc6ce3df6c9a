"""The process that keeps a real part's processes, and ends them when the tests end.

A script of its own, with the standard library alone: `python keeper.py SETTINGS`, JSON lines on its
standard input and output. When the input ends, however the tests ended, it kills
every process below it, takes its mounts, cgroups and folder away, and exits. It is the reaper of
its orphans (PR_SET_CHILD_SUBREAPER), so a container's shim cannot slip away when dockerd is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
CGROUPS = Path("/sys/fs/cgroup")
# What the parts write outside their folder lands in a layer over these (dockerd: /etc/docker,
# CNI: /var/lib/cni), and an account added to /etc/passwd exists only for the part.
COVERED = ("/etc", "/var/lib")


def parents() -> dict[int, int]:
    """The parent of every process that there is."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The command's name may hold spaces and brackets; after the last one is the state.
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first."""
    below: dict[int, list[int]] = {}
    for child, parent in parents().items():
        below.setdefault(parent, []).append(child)
    found: list[int] = []
    level = below.get(pid, [])
    while level:
        found += level
        level = [grandchild for child in level for grandchild in below.get(child, [])]
    return found


def send(pids: Iterable[int], number: int) -> None:
    """Signal those of the processes that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def cgroup_paths(pid: int) -> set[str]:
    """The cgroups of a process, in all hierarchies, as /proc names them."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
        return {line.split(":", 2)[2] for line in lines}
    return set()


def cgroup_folders(path: str) -> Iterator[Path]:
    """Where a cgroup lies: cgroup v2 alone, or one of the mounted hierarchies of v1."""
    for root in (CGROUPS, *CGROUPS.iterdir()):
        folder = root / path.lstrip("/")
        if path != "/" and folder.is_dir():
            yield folder


def remove_cgroups(paths: Iterable[str], *, keep: set[str]) -> None:
    """Remove cgroups with all below them, and those parents that were not there before.

    A shim that lived a moment longer than its container has removed the cgroup itself already,
    and not the parents.
    """
    roots = (CGROUPS, *CGROUPS.iterdir())
    for root, path in itertools.product(roots, paths):
        if path == "/":
            continue
        folder = root / path.lstrip("/")
        for below, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(below).rmdir()
        for parent in folder.parents:
            if parent in (CGROUPS, root) or str(parent) in keep:
                break
            with contextlib.suppress(OSError):
                parent.rmdir()


def existing_cgroups() -> set[str]:
    """The cgroups near the root, where parts add parents of their own."""
    return {str(folder) for depth in ("*", "*/*") for folder in CGROUPS.glob(depth)}


def seclude() -> None:
    """A /run of our own, and a layer over the folders that parts write to."""

    def mount(*words: str) -> None:
        subprocess.run(["mount", *words], check=True)

    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    for name in ("lock", "sshd"):
        Path("/run", name).mkdir(mode=0o755)
    for folder in COVERED:
        upper, work = (Path(f"/run/.over{folder}", part) for part in ("upper", "work"))
        for part in (upper, work):
            part.mkdir(parents=True, mode=0o755)
        layers = f"lowerdir={folder},upperdir={upper},workdir={work}"
        mount("-t", "overlay", "-o", layers, "overlay", folder)


def unmount_below(folder: str) -> None:
    """Take every mount away that lies in the folder, the last one first.

    Also where the folder is bound to a place inside a root of its own: a folder on which anything
    is mounted, by whatever path, cannot be removed.
    """
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4] for line in lines]
    for point in reversed(points):
        if f"{folder}/" in point:
            subprocess.run(["umount", "--lazy", point], check=False)


class Keeper:
    """Starts processes and knows how each of them ended."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.own = cgroup_paths(os.getpid())
        self.before = existing_cgroups()
        self.started: set[int] = set()
        self.ended: dict[int, int] = {}
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def reap(self, *_: object) -> None:
        """Collect every ended child. dockerd takes a dead containerd for a live one until then."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self.started:
                    self.ended[pid] = os.waitstatus_to_exitcode(status)

    def start(self, argv: list[str], env: dict[str, str], log: str) -> int:
        """Start a process in a session of its own, its output added to `log`."""
        output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # Not reaped before it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            pid = os.posix_spawnp(
                argv[0],
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, log, output, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
            )
            self.started.add(pid)
            self.ended.pop(pid, None)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        return pid

    def wait(self, pid: int, seconds: float) -> int | None:
        """How a child ended: its exit status, or minus the signal; None if it still runs."""
        deadline = time.monotonic() + seconds
        while pid not in self.ended and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.ended.get(pid)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what one line asks for."""
        if asked["do"] == "start":
            try:
                return {"pid": self.start(asked["argv"], asked["env"], asked["log"])}
            except OSError as error:
                return {"error": str(error)}
        return {"status": self.wait(asked["pid"], asked["seconds"])}

    def close(self) -> None:
        """Kill everything below, then leave nothing behind."""
        # dockerd's containers are in this one, which outlives them.
        cgroups = {f"/roost-{Path(self.folder).name}"}
        deadline = time.monotonic() + 10
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                cgroups |= cgroup_paths(pid)
            send(left, signal.SIGKILL)
            time.sleep(0.005)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        remove_cgroups(cgroups - self.own, keep=self.before)
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def say(answer: dict[str, Any]) -> None:
    """Write one line to the tests."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    settings = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if settings["seclude"]:
        seclude()
    if settings["network"]:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    keeper = Keeper(settings["folder"])
    signal.signal(signal.SIGCHLD, keeper.reap)
    try:
        say({"ready": True})
        for line in sys.stdin:
            say(keeper.answer(json.loads(line)))
    except BrokenPipeError:
        pass  # the tests are gone
    finally:
        keeper.close()


if __name__ == "__main__":
    main()
