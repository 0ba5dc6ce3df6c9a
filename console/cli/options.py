"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from console.cli.setup import Setup


def _node_names(ctx: click.Context) -> list[str]:
    """For completion, where nothing may be said and nothing may fail."""
    from agent.protocol.problems import ProblemError
    from console.cli.nodes import all_nodes

    given = ctx.find_root().params.get("fleet") or os.environ.get("ROOST_FLEET")
    try:
        return [node.name for node in all_nodes(Setup(fleet_file=Path(given) if given else None))]
    except (ProblemError, OSError):
        return []


def complete_node(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of nodes."""
    return [CompletionItem(name) for name in _node_names(ctx) if name.startswith(incomplete)]


def complete_selector(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of nodes, as a selector writes them."""
    names = (f"@{name}" for name in _node_names(ctx))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


selector_argument = click.argument(
    "selector", required=False, metavar="[SELECTOR]", shell_complete=complete_selector
)
node_argument = click.argument("node", metavar="NODE", shell_complete=complete_node)
container_argument = click.argument("container", metavar="CONTAINER")
job_argument = click.argument("job", metavar="JOB")
json_option = click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
