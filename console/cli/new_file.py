"""Files that a command writes: one that is there is somebody's, and stays."""

from __future__ import annotations

from pathlib import Path

import click

from agent.protocol.problems import ProblemError

force_option = click.option("--force", is_flag=True, help="Replace a file of that name.")


def check_new(file: Path, *, force: bool) -> None:
    """Raises ProblemError `console.usage`: there is one, and nobody said to replace it."""
    if file.exists() and not force:
        raise ProblemError(
            "console.usage",
            f"{file} is there already",
            params={"file": str(file)},
            hint="Name another file, or replace it: --force",
        )
