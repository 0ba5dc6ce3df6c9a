"""Names of images: "detector:1.4", "registry.plant:5000/edge/detector:1.4".

Docker shows `docker.io/library/detector:1.4` as `detector:1.4`, Podman in full. Roost shows the
short form everywhere, so that a tag reads the same on every node.
"""

from __future__ import annotations

import re

from agent.protocol.problems import ProblemError

_DEFAULT = "docker.io"
_LIBRARY = "library"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:[a-z0-9][a-z0-9.-]*(?::\d+)?/)?{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_NAME_LIMIT = 255


def split_tag(reference: str) -> tuple[str, str]:
    """Repository, in its short form, and tag, "latest" where none is given.

    Raises:
        ProblemError: `image.reference`.
    """
    # A colon before the last slash is a port's.
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    repository = f"{head}{slash}{name}"
    tag = tag if colon else "latest"
    if (
        not _REPOSITORY.fullmatch(repository)
        or not _TAG.fullmatch(tag)
        or len(repository) > _NAME_LIMIT
    ):
        raise ProblemError(
            "image.reference",
            f"{reference!r} is not a name that an image can have",
            params={"reference": reference},
            hint="Lower-case letters, digits, dots, dashes and slashes, then a tag: edge/app:1.4",
        )
    return _short(repository), tag


def familiar(reference: str) -> str:
    """The short form, with its tag. What cannot be a tag comes back as it is."""
    try:
        return ":".join(split_tag(reference))
    except ProblemError:
        return reference


def full(reference: str) -> str:
    """The form that says which registry is meant: docker.io/library/detector:1.4.

    Raises:
        ProblemError: `image.reference`.
    """
    repository, tag = split_tag(reference)
    first, slash, _ = repository.partition("/")
    if not slash:
        repository = f"{_DEFAULT}/{_LIBRARY}/{repository}"
    elif not _is_host(first):
        repository = f"{_DEFAULT}/{repository}"
    return f"{repository}:{tag}"


def _short(repository: str) -> str:
    for host in (_DEFAULT, f"index.{_DEFAULT}"):
        if repository.startswith(f"{host}/"):
            path = repository.removeprefix(f"{host}/")
            alone = path.removeprefix(f"{_LIBRARY}/")
            return alone if "/" not in alone and alone else path
    return repository


def _is_host(part: str) -> bool:
    return part == "localhost" or "." in part or ":" in part
