"""One pass over a layer's files, and what is left of files where layers lie on one another."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from agent.archives.decompressors import CutOffError, DamagedError
from agent.archives.faults import FaultError, shown
from agent.archives.sources import Source
from agent.archives.tar_headers import Member, read_members

# The largest images have some 300,000 files.
MEMBERS_LIMIT = 3_000_000
HIDDEN_LIMIT = 100_000
NAME_LIMIT = 4096

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"

Found_co = TypeVar("Found_co", covariant=True)
Look = Callable[[str, Member, Source], None]


class Finds(Protocol[Found_co]):
    """What was found in a layer. `hidden` are paths that it takes away, with all below them."""

    @property
    def files(self) -> Mapping[str, Found_co]:
        """By their paths in the image."""

    @property
    def hidden(self) -> Sequence[str]:
        """Of layers below this one."""


def walk(
    source: Source, hidden: list[str], look: Look, *, folders: re.Pattern[str], folder: str = ""
) -> str:
    """Pass once over a layer's tar. What is wrong with it, in words; "": nothing.

    Args:
        hidden: Filled with what the layer hides.
        look: Told each member, by its path in the image; may read the member's content.
        folders: Names of folders on the way to what is looked for. A layer may replace one by
            something that is no folder, and hides it with that.
        folder: Where in the image the layer's names begin.

    Raises:
        OSError: the disk's, as are others that `source` gives.
    """
    try:
        for member in _members(source):
            path = image_path(f"{folder}/{member.name}")
            if path and not _hides(hidden, path, member, folders):
                look(path, member, source)
    except FaultError as fault:
        where = f"{shown(fault.member)}: " if fault.member else ""
        return f"{where}{fault.what}"
    except (CutOffError, DamagedError) as error:
        return str(error)
    return ""


def _members(source: Source) -> Iterable[Member]:
    for count, member in enumerate(read_members(source, of_layer=True)):
        if count >= MEMBERS_LIMIT:
            raise FaultError("archive.too_large", f"it has more than {MEMBERS_LIMIT} files")
        yield member


def visible(layers: Iterable[Finds[Found_co]]) -> dict[str, Found_co]:
    """What is left of the files of these layers, the bottom one first."""
    found: dict[str, Found_co] = {}
    for layer in layers:
        hidden = set(layer.hidden)
        if hidden:
            found = {
                path: file
                for path, file in found.items()
                if not any(each in hidden for each in _itself_and_above(path))
            }
        found.update(layer.files)
    return found


def image_path(name: str) -> str:
    """Relative to the image's root; "": none that could be of interest."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "" if ".." in parts or len(name) > NAME_LIMIT else "/".join(parts)


def _itself_and_above(path: str) -> Iterable[str]:
    while path:
        yield path
        path = posixpath.dirname(path)


def _hides(hidden: list[str], path: str, member: Member, folders: re.Pattern[str]) -> bool:
    """Whether it is a mark alone, and no file of the image."""
    folder, name = posixpath.split(path)
    if name == _OPAQUE:
        _hide(hidden, folder)
        return True
    if name.startswith(_WHITEOUT):
        # Others of AUFS's own names are no files of the image.
        if not name.startswith(".wh..wh."):
            _hide(hidden, posixpath.join(folder, name[len(_WHITEOUT) :]))
        return True
    if member.kind != "folder" and folders.fullmatch(name):
        _hide(hidden, path)
    return False


def _hide(hidden: list[str], path: str) -> None:
    if len(hidden) >= HIDDEN_LIMIT:
        raise FaultError("archive.too_large", f"it hides more than {HIDDEN_LIMIT} files")
    hidden.append(path)
