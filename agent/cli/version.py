"""`roost-agent version`."""

from __future__ import annotations

import click

from agent.protocol.version import API_VERSION


@click.command("version")
def command() -> None:
    """Print the agent's version and its API's."""
    click.echo(version_line())


def version_line() -> str:
    """`roost-agent 1.2.0 (API 1.0)`."""
    from importlib.metadata import version

    return f"roost-agent {version('roost')} (API {API_VERSION})"
