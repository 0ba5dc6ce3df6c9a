"""Processes on a GPU: their names, and the containers they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

# One path component that ends in a container's id, as Docker (cgroupfs, systemd), Podman, CRI-O
# and containerd name it. Podman's monitor has a cgroup of its own (libpod-conmon-<id>): no match.
_CONTAINER = re.compile(
    r"/(?:docker-|libpod-|crio-|cri-containerd-)?([0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE
)


class ProcessInfo(NamedTuple):
    """`reason` says why name and container are not known: "no_process" or "no_permission"."""

    name: str | None = None
    container: str | None = None
    reason: str | None = None


def container_of(cgroup: str) -> str | None:
    """The container id in the text of /proc/PID/cgroup (v1 and v2), None for the host's.

    Of nested containers it is the outermost: the one that this node's runtime knows.
    """
    found = _CONTAINER.search(cgroup)
    return found[1] if found else None


class ProcessTable:
    """Looks processes up in procfs, each once for as long as it stays on a GPU.

    Reads only `comm` and `cgroup`, which never wait for a process that is stuck in the driver.
    """

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._known: dict[int, ProcessInfo] = {}

    def look_up(self, pids: Iterable[int]) -> dict[int, ProcessInfo]:
        """What is known of `pids`: all that are on any GPU now. Others are forgotten."""
        known = self._known
        self._known = {
            pid: info if (info := known.get(pid)) and info.reason is None else self._read(pid)
            for pid in pids
        }
        return self._known

    def _read(self, pid: int) -> ProcessInfo:
        place = self._proc / str(pid)
        try:
            name = (place / "comm").read_text(errors="replace").rstrip("\n")
            return ProcessInfo(name, container_of((place / "cgroup").read_text(errors="replace")))
        except PermissionError:
            return ProcessInfo(reason="no_permission")
        except OSError:
            return ProcessInfo(reason="no_process")
