"""`roost-agent version`."""

from __future__ import annotations

import click

from agent.protocol.version import API_VERSION


@click.command("version")
def command() -> None:
    """Print the agent's version and its API's."""
    from importlib.metadata import version

    click.echo(f"roost-agent {version('roost')} (API {API_VERSION})")
