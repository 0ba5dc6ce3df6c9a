"""`images/image-manifest.lock.json`: what images were really built from, and what came out.

A variant that nobody has built has no `base` and no `image`, and `why` says so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from agent.durable import write_whole
from agent.protocol.decoding import from_json
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from console.builds.matrix import Matrix
from console.folder_lock import alone_in

FILE = "image-manifest.lock.json"
NOT_BUILT = "nobody has built it yet"


class LockedBase(msgspec.Struct, kw_only=True):
    """The base as it was under its name on the node that built. Its identity: `diff_ids`."""

    name: str
    id: str  # the runtime's
    diff_ids: list[str]
    size_bytes: int


class LockedImage(msgspec.Struct, kw_only=True):
    """What was built."""

    tag: str
    id: str
    config_digest: str | None
    diff_ids: list[str]
    size_bytes: int
    added_bytes: int  # on top of the base
    application_diff_id: str  # of the last layer
    application_bytes: int  # its files' tar
    packages: dict[str, str]  # those that pip installed, by their hashes
    content: str  # digest of the Dockerfile, the requirements and the application


class LockedVariant(msgspec.Struct, kw_only=True):
    """One variant."""

    base: LockedBase | None = None
    image: LockedImage | None = None
    why: str | None = None  # why it has none


class Lock(msgspec.Struct, kw_only=True):
    """The file."""

    variants: dict[str, LockedVariant] = {}


def read_lock(file: Path) -> Lock:
    """Empty where there is no such file. Raises ProblemError `build.files`."""
    try:
        return from_json(file.read_bytes(), Lock)
    except FileNotFoundError:
        return Lock()
    except (OSError, msgspec.DecodeError) as error:
        raise ProblemError(
            "build.files",
            f"{file}: {error}",
            params={"file": str(file)},
            hint="It is written by `roost image build`: remove it, and build anew.",
        ) from None


def record(file: Path, name: str, built: LockedVariant, matrix: Matrix) -> Lock:
    """Write what was built, beside what others wrote meanwhile; the file as it is then.

    It has an entry for each variant of the matrix, and for no other.

    Raises:
        ProblemError: `build.files`.
    """
    try:
        with alone_in(file.parent):
            lock = read_lock(file)
            lock.variants[name] = built
            lock.variants = {
                each.name: lock.variants.get(each.name, LockedVariant(why=NOT_BUILT))
                for each in matrix.variants
            }
            text = json.dumps(msgspec.to_builtins(lock), indent=1) + "\n"
            write_whole(file, text.encode(), mode=0o644)
    except OSError as error:
        raise ProblemError(
            "build.files",
            f"{file}: {os.strerror(error.errno or 0)}",
            params={"file": str(file)},
            hint="The image is built; the file that says of what could not be written.",
        ) from None
    return lock


def check_base(locked: LockedBase | None, found: NodeImage, *, variant: str, name: str) -> None:
    """Raises ProblemError `build.base_changed`, with the difference."""
    if locked is None or (locked.diff_ids == found.diff_ids and locked.name == name):
        return
    raise ProblemError(
        "build.base_changed",
        f"{variant}: {difference(locked, locked_base(name, found))}",
        params={"variant": variant, "before": locked.id, "now": found.id},
        hint="If that is meant: --update-lock",
    )


def difference(locked: LockedBase, found: LockedBase) -> str:
    """Of a base that was built on and the one that is there, for people."""
    shared = 0
    for before, now in zip(locked.diff_ids, found.diff_ids, strict=False):
        if before != now:
            break
        shared += 1
    renamed = "" if locked.name == found.name else f", and it was called {locked.name}"
    before, now = (
        f"{short(base.id)} with {len(base.diff_ids)} layers and {base.size_bytes} bytes"
        for base in (locked, found)
    )
    return (
        f"the base {found.name} is another one: it was {before}, and is {now}, of which the"
        f" first {shared} are the same{renamed}"
    )


def short(digest: str) -> str:
    """As people read it."""
    return digest.removeprefix("sha256:")[:12]


def locked_base(name: str, image: NodeImage) -> LockedBase:
    """The base as it is."""
    return LockedBase(
        name=name, id=image.id, diff_ids=list(image.diff_ids), size_bytes=image.size_bytes
    )


def packages_of(requirements: bytes) -> dict[str, str]:
    """Names and versions of requirements as `context.render` makes them, all of them exact."""
    lines = (line.split() for line in requirements.decode().splitlines())
    pins = (words[0].partition("==") for words in lines if words)
    return {name: version for name, _, version in pins}
