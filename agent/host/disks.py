"""The filesystems that Roost and the container runtime fill."""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.reading import read_text, reason_of
from agent.host.real_paths import below, here, mounts_of, real_path
from agent.protocol.node import Disk

STATE_DIR = "/var/lib/roost"


def read_disks(
    root: Path = Path("/"), *, runtime_dir: str | None = None, state_dir: str = STATE_DIR
) -> list[Disk]:
    """One Disk per filesystem, with everything that lies on it. Never raises.

    A folder that is not there yet counts for the filesystem it would be made on.

    Args:
        runtime_dir: The runtime's root directory, where it is known and on this machine.
    """
    wanted = [("system", "/"), ("runtime", runtime_dir), ("roost", state_dir)]
    types = _types(root)
    disks: dict[int, Disk] = {}  # by device number
    for purpose, folder in wanted:
        if folder is None:
            continue
        try:
            place = _existing(folder, root)
            device = place.stat().st_dev
            if device not in disks:
                disks[device] = _disk(_mount_point(place, root), root, types)
            if purpose not in disks[device].purposes:
                disks[device].purposes.append(purpose)
        except OSError:  # unreadable or gone meanwhile: there is no figure to give
            continue
    return list(disks.values())


def free_bytes(path: str, root: Path = Path("/")) -> tuple[int | None, str]:
    """What an ordinary user may still write there (df's "Avail") and "", or None and why."""
    try:
        answer = os.statvfs(here(path, root))
    except OSError as error:
        return None, reason_of(error)
    return answer.f_bavail * answer.f_frsize, ""


def _existing(folder: str, root: Path) -> Path:
    """With its links followed, or the nearest folder above that exists."""
    path = real_path(folder, root)
    while not below(path, root).exists() and path != path.parent:
        path = path.parent
    return below(path, root)


def _mount_point(path: Path, root: Path) -> Path:
    # Not is_mount(): it would take the ".." of a place in another root to this process's own.
    while path not in (root, path.parent) and path.lstat().st_dev == path.parent.lstat().st_dev:
        path = path.parent
    return path


def _disk(mount_point: Path, root: Path, types: dict[str, str]) -> Disk:
    answer = os.statvfs(mount_point)
    shown = str(Path("/") / mount_point.relative_to(root))
    return Disk(
        path=shown,
        purposes=[],
        total_bytes=answer.f_blocks * answer.f_frsize,
        free_bytes=answer.f_bavail * answer.f_frsize,
        filesystem=types.get(shown),
    )


def _types(root: Path) -> dict[str, str]:
    """Mount point to filesystem type, the last mount on a point winning, as it hides others."""
    types: dict[str, str] = {}
    for line in (read_text(mounts_of(root))[0] or "").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = fields[4].replace("\\040", " ")
            types[point] = after.split(" ", 1)[0]
    return types
