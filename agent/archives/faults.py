"""What can be wrong with an archive, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath

from agent.protocol.problems import Param, ProblemError

COPY_AGAIN = "Copy it again and compare its sha256 with the original, or save the image again."
SAVE_AGAIN = "Save the image again with docker save or skopeo copy."
NOT_TRUSTED = "Neither docker save nor skopeo writes this: find out who made the archive."

HINTS: Mapping[str, str] = {
    "archive.unreadable": "Check that the path is right, readable, and its disk or stick is there.",
    "archive.unknown": "Roost takes what docker save, podman save and skopeo copy write.",
    "archive.truncated": COPY_AGAIN,
    "archive.damaged": COPY_AGAIN,
    "archive.digest": COPY_AGAIN,
    "archive.layer_corrupt": COPY_AGAIN,
    "archive.path": NOT_TRUSTED,
    "archive.link": NOT_TRUSTED,
    "archive.member_kind": NOT_TRUSTED,
    "archive.duplicate": NOT_TRUSTED,
    "archive.bomb": NOT_TRUSTED,
    "archive.too_large": NOT_TRUSTED,
    "archive.manifest_missing": SAVE_AGAIN,
    "archive.json": SAVE_AGAIN,
    "archive.layers_mismatch": SAVE_AGAIN,
    "archive.missing": SAVE_AGAIN,
    "archive.tag": "Save the image again under a valid name.",
    "archive.changed": "Let the copy end, then try again.",
    "archive.tag_twice": "Make a bundle of each, or give one of the images another name.",
    "bundle.unknown": "roost bundle make writes bundles. Archives: roost image check, image push.",
    "bundle.newer": "Use a Roost that is as new as the one that made it.",
    "bundle.manifest": "Make the bundle again: roost bundle make",
    "bundle.entry": "It was changed after it was made. Copy it again, or make it again.",
}


class FaultError(Exception):
    """Something is wrong in an archive; where the archive lies is added by `told_about`."""

    def __init__(
        self, code: str, what: str, *, member: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.member = member
        self.hint = hint

    def problem(self, path: str) -> ProblemError:
        """The same for people: file, member, what is wrong, what to do."""
        where = f"{path}: " if self.member is None else f"{path}: {shown(self.member)}: "
        params: dict[str, Param] = {"archive": path}
        if self.member is not None:
            params["member"] = shown(self.member)
        hint = self.hint or HINTS.get(self.code)
        return ProblemError(self.code, where + self.what, params=params, hint=hint)


def shown(name: str) -> str:
    """A name out of an archive, fit for a terminal: no control characters, not too long."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in name)
    return clean if len(clean) <= 200 else f"{clean[:197]}..."


@contextmanager
def told_about(path: str | PathLike[str]) -> Iterator[None]:
    """Turns faults, and errors of the disk, into problems that name the file."""
    try:
        yield
    except FaultError as fault:
        raise fault.problem(fspath(path)) from None
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise FaultError("archive.unreadable", what).problem(fspath(path)) from error
