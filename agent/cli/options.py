"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="ROOST_AGENT_CONFIG",
    help="agent.yaml to use instead of /etc/roost/agent.yaml.",
)
