"""Where archives arrive without a network: USB sticks, cards and shares.

A medium is removable when the kernel says so of its disk (`/sys/class/block/*/removable`, which
is 0 for most USB disks) or when its disk hangs on USB; file systems that only media and shares
have are taken, too, and whatever disk is mounted where people mount one by hand.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.archives.bundle_parts import LIST_LIMIT_BYTES, facts_of
from agent.archives.faults import FaultError
from agent.host.real_paths import ROOT, below
from agent.protocol.images import FoundArchive, Medium

SHARES = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
MEDIA = frozenset({"vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "udf"})
SUFFIXES = re.compile(r"\.(tar|tgz|tzst|txz|tbz2?|tar\.(gz|zst|xz|bz2)|oci|bundle)$", re.IGNORECASE)
# The system's own, which may lie on a card or a stick, or be FAT (an EFI partition).
SYSTEM = (Path("/boot"), Path("/efi"), Path("/proc"), Path("/sys"), Path("/dev"), Path("/run/user"))
# Where people and desktops mount what they bring, on whatever bus it is.
BY_HAND = (Path("/media"), Path("/mnt"), Path("/run/media"))
# A disk has a device; but for these. FUSE may be anything, also what is far away and silent.
WITHOUT_DEVICE = frozenset({"zfs"})
MOUNTS_LIMIT = 64
DEPTH = 3
ENTRIES_LIMIT = 5000
FOUND_LIMIT = 200


class Mount(NamedTuple):
    """A line of `/proc/self/mountinfo`."""

    path: str
    device: str
    filesystem: str
    number: str  # major:minor
    removable: bool


def find_mounts(
    mountinfo: Path = Path("/proc/self/mountinfo"), sys_block: Path = Path("/sys/dev/block")
) -> list[Mount]:
    """The media, each once, so many at most; none of them is touched. Raises OSError."""
    found: dict[str, Mount] = {}
    text = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    mounts = list(_mounts(text, sys_block))
    # Folders of the system's own disk that show elsewhere, too.
    own = {mount.number for mount in mounts if mount.path == "/"}
    for mount in mounts:
        path = Path(mount.path)
        is_system = mount.number in own or any(path.is_relative_to(top) for top in SYSTEM)
        if not is_system and (
            mount.removable
            or mount.filesystem in SHARES
            or mount.filesystem in MEDIA
            or _by_hand(mount)
        ):
            found.setdefault(mount.number, mount)
    return list(found.values())[:MOUNTS_LIMIT]


def _by_hand(mount: Mount) -> bool:
    disk = mount.device.startswith("/dev/") and not mount.filesystem.startswith("fuse.")
    where = any(Path(mount.path).is_relative_to(top) for top in BY_HAND)
    return where and (disk or mount.filesystem in WITHOUT_DEVICE)


def unseen(mount: Mount, reason: str | None) -> Medium:
    """A medium that was not looked through."""
    return Medium(
        path=_told(mount.path),
        device=_told(mount.device),
        filesystem=mount.filesystem,
        removable=mount.removable,
        reason=reason,
    )


def look_through(mount: Mount, root: Path = ROOT) -> Medium:
    """The medium with its archives. One that was pulled out may hold this up for ever.

    `root` is the machine's.
    """
    medium = unseen(mount, None)
    looking = _Look(root)
    try:
        facts = os.statvfs(below(Path(mount.path), root))
        medium.free_bytes = facts.f_bavail * facts.f_frsize
        looking.into(mount.path)
    except OSError as error:
        looking.reason = f"it cannot be read: {error.strerror}"
    medium.archives = sorted(looking.found, key=lambda found: found.path)
    medium.reason = looking.reason
    return medium


class _Look:
    """What was found until something came in between."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.found: list[FoundArchive] = []
        self.reason: str | None = None

    def into(self, top: str) -> None:
        seen = 0
        folders = deque([(top, 1)])
        while folders:
            folder, depth = folders.popleft()  # what lies near the top before what is deep
            for entry in self._entries(folder):
                seen += 1
                if seen > ENTRIES_LIMIT or len(self.found) >= FOUND_LIMIT:
                    self.reason = f"only its first {seen - 1} files and folders were looked at"
                    return
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEPTH and not entry.name.startswith("."):
                        folders.append((f"{folder}/{entry.name}", depth + 1))
                elif SUFFIXES.search(entry.name):
                    self._take(entry, f"{folder}/{entry.name}")

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(below(Path(folder), self._root)) as entries:
                yield from entries
        except OSError as error:
            self.reason = f"{_told(folder)} cannot be read: {error.strerror}"

    def _take(self, entry: os.DirEntry[str], path: str) -> None:
        facts = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode):
            return
        if _told(path) != path:
            self.reason = f"{_told(path)}: a name that is not UTF-8 cannot be asked for"
            return
        size = facts.st_size
        if entry.name.lower().endswith(".bundle") and size <= LIST_LIMIT_BYTES:
            # It may be the list of parts that lie beside it; what is wrong is told by the import.
            with contextlib.suppress(FaultError, OSError):
                size = facts_of(Path(entry.path)).size_bytes
        self.found.append(FoundArchive(path=path, size_bytes=size, modified_at=facts.st_mtime))


def _told(name: str) -> str:
    """A name as JSON can have it."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _mounts(text: str, sys_block: Path) -> Iterator[Mount]:
    """Fields as proc(5) numbers them: 3 the device's number, 5 the path, then ` - ` and more."""
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if separator and len(fields) >= 5 and len(more) >= 2:
            number = fields[2]
            yield Mount(
                path=_unescaped(fields[4]),
                device=_unescaped(more[1]),
                filesystem=more[0],
                number=number,
                removable=_is_removable(sys_block / number),
            )


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
