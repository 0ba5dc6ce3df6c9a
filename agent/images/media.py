"""Where archives arrive without a network: USB sticks, cards and shares.

A medium is removable when the kernel says so of its disk (`/sys/class/block/*/removable`, which
is 0 for most USB disks) or when its disk hangs on USB; file systems that only media and shares
have are taken, too.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.protocol.images import FoundArchive, Medium

SHARES = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
MEDIA = frozenset({"vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "udf"})
SUFFIXES = re.compile(r"\.(tar|tgz|tar\.(gz|zst|xz|bz2)|oci|bundle)$", re.IGNORECASE)
# An EFI partition is FAT, too, and holds nothing for us.
SYSTEM = ("/boot", "/efi", "/proc", "/sys", "/dev", "/run/credentials")
DEPTH = 3
ENTRIES_LIMIT = 5000
FOUND_LIMIT = 200


class Mount(NamedTuple):
    """A line of `/proc/self/mountinfo`."""

    path: str
    device: str
    filesystem: str
    number: str  # major:minor


def find_media(
    mountinfo: Path = Path("/proc/self/mountinfo"), sys_block: Path = Path("/sys/dev/block")
) -> list[Medium]:
    """Look through all media; one that was pulled out may hold this up for long.

    Raises OSError where the mounts cannot be read.
    """
    found = []
    for mount in _mounts(mountinfo.read_text(encoding="utf-8", errors="surrogateescape")):
        removable = _is_removable(sys_block / mount.number)
        if mount.path.startswith(SYSTEM) or not (
            removable or mount.filesystem in SHARES or mount.filesystem in MEDIA
        ):
            continue
        found.append(_look_through(mount, removable=removable))
    return found


def _look_through(mount: Mount, *, removable: bool) -> Medium:
    medium = Medium(
        path=mount.path,
        device=mount.device,
        filesystem=mount.filesystem,
        removable=removable,
    )
    try:
        facts = os.statvfs(mount.path)
        medium.free_bytes = facts.f_bavail * facts.f_frsize
        medium.archives = sorted(_archives(Path(mount.path)), key=lambda found: found.path)
    except OSError as error:
        medium.reason = f"it cannot be read: {error.strerror}"
    return medium


def _archives(top: Path) -> Iterator[FoundArchive]:
    seen = count = 0
    folders = [(top, 0)]
    while folders:
        folder, depth = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > ENTRIES_LIMIT or count >= FOUND_LIMIT:
                    return
                if entry.is_dir(follow_symlinks=False):
                    if depth + 1 < DEPTH and not entry.name.startswith("."):
                        folders.append((Path(entry.path), depth + 1))
                elif SUFFIXES.search(entry.name):
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        count += 1
                        yield FoundArchive(
                            path=entry.path,
                            size_bytes=facts.st_size,
                            modified_at=facts.st_mtime,
                        )


def _mounts(text: str) -> Iterator[Mount]:
    """Fields as proc(5) numbers them: 3 the device's number, 5 the path, then ` - ` and more."""
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if separator and len(fields) >= 5 and len(more) >= 2:
            yield Mount(_unescaped(fields[4]), _unescaped(more[1]), more[0], fields[2])


def _unescaped(text: str) -> str:
    """Space, tab, newline and backslash are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _is_removable(device: Path) -> bool:
    """`device` links to the block device's folder; a partition's lies in that of its disk."""
    try:
        real = device.resolve(strict=True)
    except OSError:
        return False
    if "/usb" in str(real):
        return True
    return any(_reads_one(folder / "removable") for folder in (real, real.parent))


def _reads_one(file: Path) -> bool:
    try:
        return file.read_text(encoding="ascii").strip() == "1"
    except (OSError, UnicodeDecodeError):
        return False
