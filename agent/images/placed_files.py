"""Models and release files on the node: what is there, and how another one takes its place.

A file gets its name only when what lies on the disk was read back and has the right SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, get_args

from agent.archives.writing import OpenLayer
from agent.durable import appearing, sync, sync_folder
from agent.images.disk import told
from agent.protocol.node_files import FOLDERS, FileKind, NodeFile, PlacedFile, PlannedFile
from agent.protocol.problems import ProblemError

PIECE_BYTES = 1 << 20
LISTED_LIMIT = 2000
SEND_AGAIN = "Push again; if it happens again, look at the node's disk (dmesg)."

Heard = Callable[[int], None]  # bytes that were written; may raise to end it


class PlacedFiles(Protocol):
    """What the rest of the agent wants of these folders. All methods may block: for threads."""

    @property
    def folder(self) -> Path | None:
        """Where the space for them is; None: they take none."""

    def plan(self, files: Sequence[NodeFile]) -> list[PlannedFile]:
        """What placing these would do. One that is there is read, unless it was before.

        Raises ProblemError `blob.storage`.
        """

    def place(self, file: NodeFile, content: OpenLayer, heard: Heard) -> None:
        """Have the file, read back from the disk; one of that name is replaced at once.

        Raises ProblemError `file.broken`, `space.full`, `blob.*`, and what `content` and `heard`
        do; then what was there is still there.
        """

    def list(self) -> list[PlacedFile]:
        """All of them by kind and name. Raises ProblemError `blob.storage`."""

    def digest(self, kind: FileKind, name: str) -> str:
        """Its SHA-256; it is read, unless it was before.

        Raises ProblemError `file.not_found`, `blob.storage`.
        """

    def path(self, kind: FileKind, name: str) -> Path:
        """Where it lies. Raises ProblemError `file.not_found`."""

    def remove(self, kind: FileKind, name: str) -> None:
        """Raises ProblemError `file.not_found`, `blob.storage`."""

    def tidy(self) -> None:
        """Remove what a crash left. Raises ProblemError `blob.storage`."""


class FilesOnDisk:
    """The folders `models` and `releases` below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._state = folder
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}  # how a file looks, its digest

    def plan(self, files: Sequence[NodeFile]) -> list[PlannedFile]:
        return [self._planned(file) for file in files]

    def place(self, file: NodeFile, content: OpenLayer, heard: Heard) -> None:
        path = self._state / file.place
        with told(path):
            self._make_folder(path.parent)
            # Others read it: whoever the builder's container runs as, and people of the group.
            with appearing(path, mode=0o644) as new:
                written = _copied(content, new, file.size_bytes, heard)
                sync(new)
                os.posix_fadvise(new.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # not from memory
                found = _digest_of(new)
                if (written, found) != (file.size_bytes, file.sha256):
                    raise _broken(file, written, found)
                looks = _looks(os.fstat(new.fileno()))
            sync_folder(path.parent)
        self._known[path] = looks, file.sha256

    def list(self) -> list[PlacedFile]:
        found = []
        for kind in get_args(FileKind):
            top = self._state / FOLDERS[kind]
            with told(top):
                for path, facts in sorted(_files(top)):
                    found.append(
                        PlacedFile(
                            kind=kind,
                            name=_told(str(path.relative_to(top))),
                            path=_told(str(path)),
                            size_bytes=facts.st_size,
                            modified_at=facts.st_mtime,
                        )
                    )
        return found[:LISTED_LIMIT]

    def digest(self, kind: FileKind, name: str) -> str:
        path = self.path(kind, name)
        with told(path):
            return self._digest(path, _looks(path.stat()))

    def path(self, kind: FileKind, name: str) -> Path:
        path = self._state / FOLDERS[kind] / name
        if not path.is_file():
            raise _not_found(kind, name)
        return path

    def remove(self, kind: FileKind, name: str) -> None:
        top = self._state / FOLDERS[kind]
        path = self.path(kind, name)
        with told(path):
            path.unlink()
            for folder in path.parents:
                if folder == top or any(folder.iterdir()):
                    break
                folder.rmdir()
            self._known.pop(path, None)

    def tidy(self) -> None:
        for name in FOLDERS.values():
            top = self._state / name
            with told(top):
                for path in [*top.rglob(".*.tmp")]:
                    if path.is_file():
                        path.unlink()

    def _planned(self, file: NodeFile) -> PlannedFile:
        path = self._state / file.place
        with told(path):
            try:
                looks = _looks(path.stat())
            except (FileNotFoundError, NotADirectoryError):
                return PlannedFile(file=file, path=str(path), state="place")
            same = looks[0] == file.size_bytes and self._digest(path, looks) == file.sha256
        state: Literal["present", "place"] = "present" if same else "place"
        return PlannedFile(file=file, path=str(path), state=state, replaces=not same)

    def _digest(self, path: Path, looks: tuple[int, ...]) -> str:
        known = self._known.get(path)
        if known is None or known[0] != looks:
            with path.open("rb") as file:
                known = self._known[path] = looks, _digest_of(file)
        return known[1]

    def _make_folder(self, folder: Path) -> None:
        """With those above it, each durable, and open to readers whatever the umask."""
        missing = [folder, *folder.parents]
        for each in reversed(missing[: missing.index(self._state)]):
            if not each.is_dir():
                each.mkdir(exist_ok=True)
                each.chmod(0o755)
                sync_folder(each.parent)


class SimulatedFiles:
    """Knows the files that came, and has none of their bytes."""

    folder: Path | None = None

    def __init__(self) -> None:
        self._files: dict[str, tuple[NodeFile, float]] = {}

    def plan(self, files: Sequence[NodeFile]) -> list[PlannedFile]:
        found = []
        for file in files:
            there = self._files.get(file.place)
            same = there is not None and there[0].sha256 == file.sha256
            found.append(
                PlannedFile(
                    file=file,
                    path=f"/var/lib/roost/{file.place}",
                    state="present" if same else "place",
                    replaces=there is not None and not same,
                )
            )
        return found

    def place(self, file: NodeFile, content: OpenLayer, heard: Heard) -> None:
        self._files[file.place] = file, time.time()

    def list(self) -> list[PlacedFile]:
        return [
            PlacedFile(
                kind=file.kind,
                name=file.name,
                path=f"/var/lib/roost/{place}",
                size_bytes=file.size_bytes,
                modified_at=at,
            )
            for place, (file, at) in sorted(self._files.items())
        ]

    def digest(self, kind: FileKind, name: str) -> str:
        there = self._files.get(f"{FOLDERS[kind]}/{name}")
        if there is None:
            raise _not_found(kind, name)
        return there[0].sha256

    def path(self, kind: FileKind, name: str) -> Path:
        raise ProblemError(
            "image.export_simulated",
            f"{kind} {name}: this node is simulated, and has no bytes of it",
            hint="Take the snapshot without models.",
        )

    def remove(self, kind: FileKind, name: str) -> None:
        if self._files.pop(f"{FOLDERS[kind]}/{name}", None) is None:
            raise _not_found(kind, name)

    def tidy(self) -> None:
        """Nothing is left."""


def _copied(content: OpenLayer, new: BinaryIO, size: int, heard: Heard) -> int:
    """How many bytes there were; hardly more than the size are written."""
    written = 0
    while written <= size and (piece := content.read(PIECE_BYTES)):
        new.write(piece)
        written += len(piece)
        heard(len(piece))
    return written


def _digest_of(file: BinaryIO) -> str:
    """Of what is on the disk, from its first byte."""
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(file.fileno(), PIECE_BYTES, at):
        digest.update(piece)
        at += len(piece)
    return f"sha256:{digest.hexdigest()}"


def _looks(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    if not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path, path.stat()


def _told(name: str) -> str:
    """A name as JSON can have it."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _broken(file: NodeFile, written: int, found: str) -> ProblemError:
    return ProblemError(
        "file.broken",
        f"{file.title}: {written} bytes of {found} were read back,"
        f" {file.size_bytes} of {file.sha256} were wanted",
        params={"file": file.name, "found": found},
        hint=SEND_AGAIN,
    )


def _not_found(kind: FileKind, name: str) -> ProblemError:
    return ProblemError(
        "file.not_found",
        f"no {kind} here is called {name}",
        params={"kind": kind, "file": name},
        hint="roost bundle ls lists the files that came with bundles.",
    )
