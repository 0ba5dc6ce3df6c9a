"""dockerd's own PATH: where it looks for NVIDIA's hook when a container starts."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import msgspec

from agent.host.reading import read_line, read_text, reason_of
from agent.host.real_paths import here

HOOK = "nvidia-container-runtime-hook"
CDI_HOOK = "nvidia-cdi-hook"


class DaemonLook(msgspec.Struct, kw_only=True, frozen=True):
    """What dockerd finds in its PATH. `reason` says why that is not known."""

    pid: int | None = None
    path: str | None = None  # its PATH
    hook: str | None = None  # where it finds nvidia-container-runtime-hook
    cdi_hook: str | None = None  # and nvidia-cdi-hook
    reason: str | None = None


def look_at_daemon(address: str | None, procfs: Path = Path("/proc")) -> DaemonLook:
    """Find the dockerd behind `address` ("unix:///var/run/docker.sock") and read its PATH.

    Never raises.
    """
    pid, reason = _find(address, procfs)
    if pid is None:
        return DaemonLook(reason=reason)
    environment, why = read_text(procfs / str(pid) / "environ")
    if environment is None:
        return DaemonLook(pid=pid, reason=f"the environment of dockerd (process {pid}): {why}")
    path = next((entry[5:] for entry in environment.split("\0") if entry.startswith("PATH=")), "")
    root = procfs / str(pid) / "root"
    try:
        hook, cdi_hook = (_search(path, name, root) for name in (HOOK, CDI_HOOK))
    except OSError as error:
        return DaemonLook(
            pid=pid, path=path, reason=f"the files of dockerd (process {pid}): {reason_of(error)}"
        )
    return DaemonLook(pid=pid, path=path, hook=hook, cdi_hook=cdi_hook)


def _find(address: str | None, procfs: Path) -> tuple[int | None, str]:
    """The process that listens at `address`, or the only dockerd there is.

    With socket activation systemd made the socket, so the first way finds systemd.
    """
    peer = _peer(address)
    if peer is not None and _name(procfs, peer) == "dockerd":
        return peer, ""
    try:
        found = [
            int(entry.name)
            for entry in procfs.iterdir()
            if entry.name.isdecimal() and _name(procfs, int(entry.name)) == "dockerd"
        ]
    except OSError as error:
        return None, f"/proc: {reason_of(error)}"
    if len(found) == 1:
        return found[0], ""
    if not found:
        return None, "no process named dockerd is seen from the agent"
    return None, f"{len(found)} processes are named dockerd, and none is known to be the right one"


def _peer(address: str | None) -> int | None:
    scheme, _, path = (address or "").partition("://")
    if scheme != "unix":
        return None
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(path)
            size = struct.calcsize("3i")
            answer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    except OSError:  # not there or not allowed: other checks say so
        return None
    pid: int = struct.unpack("3i", answer)[0]
    return pid or None  # 0: a process outside of the agent's process numbers


def _name(procfs: Path, pid: int) -> str | None:
    return read_line(procfs / str(pid) / "comm")[0]


def _search(path: str, name: str, root: Path) -> str | None:
    """The first executable `name` in `path`, as exec would find it below `root`."""
    root.stat()  # it is a link: says whether the agent may follow it
    for folder in filter(None, path.split(":")):
        program = here(f"{folder}/{name}", root)
        if program.is_file() and os.access(program, os.X_OK):
            return f"{folder.rstrip('/')}/{name}"
    return None
