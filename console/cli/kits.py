"""The kits that a command puts onto nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.kits.reading import Kit, kits_by_arch

kit_option = click.option(
    "--kit",
    "kit_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="What `roost agent kit make` wrote; the kits in this folder if not given.",
)


def given_kits(kit_files: Sequence[Path], *, needed: bool = True) -> Mapping[str, Kit]:
    """By architecture: those named, or those in this folder; where not `needed`, also none. Blocks.

    Raises:
        ProblemError: `kit.none`, `kit.broken`, `kit.twice`.
    """
    kits = kits_by_arch(kit_files or sorted(Path().glob("roost-agent-*.pyz")))
    if not kits and needed:
        raise ProblemError(
            "kit.none", "there is no kit in this folder", hint="Make one: roost agent kit make"
        )
    return kits
