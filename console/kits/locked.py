"""The agent's locked requirements, as one Python on one architecture needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

import agent
from agent.protocol.problems import ProblemError

# In a wheel the lock lies beside the installer; in a checkout it is where it is made.
_PACKAGE = Path(agent.__file__).parent
_PLACES = (_PACKAGE / "kit" / "requirements.txt", _PACKAGE.parent / "requirements" / "agent.txt")

# What Litestar asks for and an agent never loads: example data, its command line, its HTTP client.
# A fifth of what is copied over a slow link otherwise, and half of what a node would compile.
LEFT_OUT: Mapping[str, str] = {
    "faker": "faker",
    "httpcore": "httpcore",
    "httpx": "httpx",
    "markdown-it-py": "markdown_it",
    "mdurl": "mdurl",
    "polyfactory": "polyfactory",
    "pygments": "pygments",
    "rich": "rich",
    "rich-click": "rich_click",
}  # requirement: its package


def locked_file() -> Path:
    """Where the lock of this very Roost is.

    Raises:
        ProblemError: `kit.no_lock`.
    """
    for place in _PLACES:
        if place.is_file():
            return place
    raise ProblemError(
        "kit.no_lock",
        "this Roost was installed without the agent's list of requirements",
        hint="Install it from its wheel, or run it from its source.",
    )


def locked_for(text: str, *, python: str, arch: str) -> str:
    """Of a lock with markers, what an agent needs with CPython `python` ("3.11") on Linux `arch`,
    without them.

    Raises:
        ProblemError: `kit.no_lock`: a line is no requirement.
    """
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }
    found = []
    for named, hashes in _entries(text):
        try:
            requirement = Requirement(named)
        except InvalidRequirement as error:
            raise ProblemError(
                "kit.no_lock", f"{named!r} is no requirement: {error}", hint="Make the lock anew."
            ) from None
        if requirement.name in LEFT_OUT:
            continue
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(" ".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return "\n".join(found) + "\n"


def _entries(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each requirement with its `--hash` options."""
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split(" #")[0].split()
        if not words or words[0].startswith("#"):
            continue
        hashes = [word for word in words if word.startswith("--hash=")]
        yield " ".join(word for word in words if not word.startswith("--hash=")), hashes
