"""An SBOM on its way out: the document, and what is to be said of it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.cli.output import safe_json, say
from console.cli.version import installed_version
from console.images.spdx import Subject, document
from console.text import plural

output_option = click.option(
    "--output", "-o", "file", type=click.Path(path_type=Path), help="Write it there, not out."
)


def write_sbom(name: str, subjects: Sequence[Subject], file: Path | None) -> int:
    """Write it to a file, or out; the exit code: 1 where there may be more packages.

    Raises:
        ProblemError: `console.unwritable`.
    """
    made = document(name, subjects, version=installed_version(), created=datetime.now(timezone.utc))
    _write(safe_json(json.dumps(made, indent=1, ensure_ascii=False)) + "\n", file)
    for subject in subjects:
        _tell(subject)
    return int(any(subject.found.unknown for subject in subjects))


def _write(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProblemError(
            "console.unwritable", f"{file}: {error.strerror}", params={"file": str(file)}
        ) from None


def _tell(subject: Subject) -> None:
    found = subject.found
    kinds = Counter(package.kind for package in found.packages)
    parts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
    where = f"{found.os_id} {found.os_version}".strip() or "no distribution known"
    say(f"{subject.name}: {plural(len(found.packages), 'package')} ({parts}), {where}")
    for reason in found.unknown:
        say(f"{subject.name}: there may be more: {reason}")
