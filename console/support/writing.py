"""The one file: a zip, with a page that says what is in it and what could not be had."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from agent.durable import appearing, sync
from agent.protocol.problems import ProblemError
from console.support.gathering import Part
from console.text import clean, size

# Of all parts together, before they are packed.
TOTAL_BYTES = 32 * 1024 * 1024
_HEAD = """\
Support file of {node}, {address}
Written {at} by roost {version}.

Passwords, tokens, keys and the values of environments were removed by their names and forms.
What stands somewhere without such a name is not found: look through it before you send it.

"""


class About(NamedTuple):
    """Whose file it is."""

    node: str
    address: str
    version: str  # of this console


def write_support(file: Path, about: About, parts: Sequence[Part]) -> int:
    """Write it whole, or not at all; how large it is.

    Raises:
        ProblemError: `console.unwritable`.
    """
    try:
        with appearing(file) as opened:
            _write(opened, about, parts)
            sync(opened)
        return file.stat().st_size
    except OSError as error:
        raise ProblemError(
            "console.unwritable",
            f"{file}: {error.strerror}",
            params={"file": str(file)},
            hint="Check the permissions of its folder, and the space left there.",
        ) from None


def _write(opened: BinaryIO, about: About, parts: Sequence[Part]) -> None:
    left = TOTAL_BYTES
    lines = []
    with zipfile.ZipFile(opened, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            data = (part.text or "").encode(errors="replace")
            words = [part.why] if part.why else []
            if len(data) > left:
                data = data[:left]
                words.append("cut: the file would be too large")
            left -= len(data)
            if part.text is not None:
                archive.writestr(part.name, data)
            state = size(len(data)) if part.text is not None else "NOT HAD"
            lines.append(clean(f"{part.name:<28} {state:>10}  {'; '.join(words)}").rstrip())
        at = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime())
        head = _HEAD.format(
            node=clean(about.node), address=clean(about.address), at=at, version=about.version
        )
        archive.writestr("README.txt", head + "\n".join(lines) + "\n")
