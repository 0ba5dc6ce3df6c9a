"""Names inside an archive: they never lead out of it."""

from __future__ import annotations

import posixpath

from agent.archives.faults import FaultError


def clean_name(name: str) -> str:
    """Without `./` and doubled slashes; "" is the archive's own root.

    Raises:
        FaultError: `archive.path` for an absolute name, or one with `..`.
    """
    if name.startswith("/"):
        raise FaultError("archive.path", "the name of an entry is absolute", member=name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise FaultError("archive.path", "the name of an entry leads out with ..", member=name)
    return "/".join(parts)


def link_target(member: str, kind: str, target: str) -> str:
    """The member that a link points to; symlinks count from the link's own folder.

    Raises:
        FaultError: `archive.link` when the link leads out of the archive.
    """
    folder = posixpath.dirname(member) if kind == "symlink" else ""
    path = posixpath.normpath(posixpath.join(folder, target))
    if target.startswith("/") or path == ".." or path.startswith("../"):
        raise FaultError(
            "archive.link", f"the link to {target!r} leads out of the archive", member=member
        )
    return path
