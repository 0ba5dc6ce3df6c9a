"""Files on a node that are no images: models that engines are built from, and release files.

Each kind has a folder of its own below the agent's: `models`, `releases`. They come as layers do,
as blobs named by their SHA-256, and a job puts them where they belong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec

from agent.protocol.digest import Digest
from agent.protocol.patterns import whole
from agent.protocol.problems import ProblemError

FileKind = Literal["model", "release"]
# Parts that begin with a letter, digit or underscore: none is hidden, none leads out.
NAME_PATTERN = whole(r"[A-Za-z0-9_][A-Za-z0-9_.+@=-]*(/[A-Za-z0-9_][A-Za-z0-9_.+@=-]*)*")
# Of 100 bytes that a tar's header has for a name, less the folder.
NAME_LIMIT = 90
NAME_HINT = (
    "Letters, digits and _ . + @ = - in folders and names, none of which begins with a dot or dash;"
    f" {NAME_LIMIT} characters at most."
)
FileName = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, max_length=NAME_LIMIT)]
# Of one request, which is the whole of a release: its job places them all, the release last.
FILES_LIMIT = 1000


FOLDERS: Mapping[FileKind, str] = {"model": "models", "release": "releases"}  # below the agent's


class NodeFile(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A file as it shall be on a node; `name` is its path below the folder of its kind."""

    kind: FileKind
    name: FileName
    sha256: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]

    @property
    def title(self) -> str:
        """For people, and as the name of a job's result: "model detector.onnx"."""
        return f"{self.kind} {self.name}"

    @property
    def place(self) -> str:
        """Its path below the agent's folder, and in a bundle: "models/detector.onnx"."""
        return f"{FOLDERS[self.kind]}/{self.name}"


def is_title(name: str) -> bool:
    """Whether what a job names in its result is a file; images' names have no blanks."""
    return name.startswith(tuple(f"{kind} " for kind in FOLDERS))


class PlannedFile(msgspec.Struct, kw_only=True):
    """What a load would do with one file."""

    file: NodeFile
    path: str  # on the node
    state: Literal["present", "place"]
    replaces: bool = False  # another file has its name now


class PlacedFile(msgspec.Struct, kw_only=True):
    """A file that lies in one of the folders."""

    kind: FileKind
    name: str
    path: str
    size_bytes: int
    modified_at: float  # Unix seconds, by the node's clock


class FileRemoveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/files/remove`."""

    kind: FileKind
    name: FileName


def checked_name(name: str, *, where: str) -> str:
    """The name, if a file can have it on a node; `where` it comes from is for people.

    Raises:
        ProblemError: `file.name`.
    """
    if len(name) > NAME_LIMIT or not re.fullmatch(NAME_PATTERN, name) or not name.isprintable():
        raise ProblemError(
            "file.name",
            f"{where}: {name[:NAME_LIMIT]!r} cannot be a file's name on a node",
            params={"name": name},
            hint=NAME_HINT,
        )
    return name


def clash(files: Iterable[NodeFile]) -> str | None:
    """Why these cannot lie beside each other, in words; None where they can."""
    found: dict[str, NodeFile] = {}
    for file in files:
        if not file.name.isprintable():  # the pattern lets a newline through at the end
            return f"{file.place!r} is no name"
        if found.setdefault(file.place, file) != file:
            return f"there are two different files for {file.place}"
    for place in found:
        for folder in PurePosixPath(place).parents:
            if str(folder) in found:
                return f"{folder} is a file, and the folder of {place} as well"
    return None


def check_files(files: Iterable[NodeFile]) -> None:
    """Raises ProblemError `file.clash`."""
    if wrong := clash(files):
        raise ProblemError(
            "file.clash", wrong, hint="Give one of them another name, or send them one by one."
        )
