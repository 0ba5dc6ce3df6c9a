"""Lists of packages that were read before: an image does not change, and reading one takes long."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec

from agent.durable import write_whole
from agent.protocol.decoding import from_json
from agent.protocol.images import NodeImage
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError

# What the readers see grows; what older ones saw is read again.
READER = 1
KEPT = 64  # some 300 KB each
NODE = "node"


class _Kept(msgspec.Struct):
    reader: int
    found: PackageList


class KeptPackages:
    """One file for each list. All methods block: for threads."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: they are kept in memory."""
        self._folder = folder
        self._memory: dict[str, bytes] = {}

    def get(self, key: str) -> PackageList | None:
        """None: nothing was kept, or it cannot be read any more."""
        try:
            data = self._memory.get(key) if self._folder is None else self._path(key).read_bytes()
            kept = None if data is None else from_json(data, _Kept)
        except (OSError, msgspec.DecodeError):
            return None
        return None if kept is None or kept.reader != READER else kept.found

    def put(self, key: str, found: PackageList) -> None:
        """Durable. The oldest of too many go.

        Raises:
            ProblemError: `packages.storage`.
        """
        data = msgspec.json.encode(_Kept(READER, found))
        if self._folder is None:
            self._memory.pop(key, None)
            self._memory[key] = data
            while len(self._memory) > KEPT:
                del self._memory[next(iter(self._memory))]
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(key), data)
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for old in files[: -KEPT or None]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise ProblemError(
                "packages.storage",
                f"{self._folder}: {error.strerror or error}",
                hint="Make room on the disk that it lies on, or look at it.",
            ) from error

    def _path(self, key: str) -> Path:
        return (self._folder or Path()) / f"{key}.json"


def key_of(image: NodeImage) -> str:
    """By its layers: the same image has several ids, on different kinds of storage.

    One whose layers the runtime does not tell is like no other.
    """
    return hashlib.sha256("\n".join(image.diff_ids or [image.id]).encode()).hexdigest()


def stamped(found: PackageList) -> PackageList:
    """With the time of this moment."""
    return msgspec.structs.replace(found, read_at=time.time())
