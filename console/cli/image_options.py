"""Arguments and options of the verbs that read archives."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from agent.archives.cache import IndexCache
from agent.archives.index import ArchiveIndex
from console.cli.options import complete_selector
from console.cli.output import say
from console.text import size

archives_argument = click.argument(
    "archives",
    nargs=-1,
    required=True,
    metavar="ARCHIVE...",
    type=click.Path(path_type=Path),
)
to_option = click.option(
    "--to",
    "selector",
    required=True,
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="The nodes: labels, or @NAME.",
)


def read_archives(paths: Sequence[Path]) -> list[ArchiveIndex]:
    """What the archives hold; a compressed one is read whole, unless it was before.

    Raises:
        ProblemError: `archive.*`.
    """
    cache = IndexCache(_cache_folder())
    found = []
    for path in paths:
        told = 0

        def heard(done: int, total: int, path: Path = path) -> None:
            nonlocal told
            tenth = 10 * done // max(1, total)
            if tenth > told and sys.stderr.isatty():
                told = tenth
                say(f"reading {path.name}: {size(done)} of {size(total)}")

        found.append(cache.index(path.absolute(), heard=heard))
    return found


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "roost" / "archives"
