"""`roost`: nouns are imported only when they run, so that small commands start fast.

console/cli is being written apart from console/link and console/fleet (see the brief's last
section); the author of those two does not write here.
"""

from __future__ import annotations

import click


@click.group()
def cli() -> None:
    """Run GPU nodes at the edge from a terminal."""


def main() -> None:
    """Entry point."""
    cli(prog_name="roost")
