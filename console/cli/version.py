"""`roost --version`, soon."""

from __future__ import annotations

import sys
from pathlib import Path

import click


def installed_version() -> str:
    """The version, from the name of the folder that pip made for it.

    importlib.metadata says the same, and takes 25 ms for it: it loads the email package.
    """
    for folder in sys.path:
        for found in Path(folder).glob("roost-*.dist-info"):
            return found.name.removesuffix(".dist-info").partition("-")[2]
    from importlib.metadata import version

    return version("roost")


def show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it
    """Callback of `--version`."""
    if value and not ctx.resilient_parsing:
        click.echo(f"roost {installed_version()}")
        ctx.exit()
