"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from console.cli.setup import Setup

if TYPE_CHECKING:
    from console.fleet.inventory import NodeEntry


# What a shell takes as one word without quotes. Names come from nodes, too.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")


def _nodes(ctx: click.Context) -> tuple[Setup, list[NodeEntry]]:
    """For completion, where nothing may be said and nothing may fail."""
    from agent.protocol.problems import ProblemError
    from console.cli.nodes import all_nodes

    given = ctx.find_root().params.get("fleet") or os.environ.get("ROOST_FLEET")
    setup = Setup(fleet_file=Path(given) if given else None)
    try:
        return setup, all_nodes(setup)
    except (ProblemError, OSError):
        return setup, []


def _offered(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def complete_node(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of nodes."""
    return _offered((node.name for node in _nodes(ctx)[1]), incomplete)


def complete_selector(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Labels and names of nodes, as a selector writes them; after a comma the next of them."""
    nodes = _nodes(ctx)[1]
    before, comma, last = incomplete.rpartition(",")
    labels = {label for node in nodes for label in node.labels.items()}
    words = [f"@{node.name}" for node in nodes]
    if last.startswith("!"):
        words = sorted({f"!{key}" for key, _ in labels})
    elif not last.startswith("@"):
        plain = (label for label in labels if all(map(_PLAIN.fullmatch, label)))
        words += [f"{key}={value}" for key, value in sorted(plain)]
    return _offered((before + comma + word for word in words), incomplete)


def complete_container(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Containers of the node before it, as the last picture on disk has them: no node is asked."""
    from console.cli.nodes import fleet_file
    from console.fleet.cache import PictureCache
    from console.fleet.picture import NodeView

    setup, nodes = _nodes(ctx)
    wanted = str(ctx.params.get("node") or "").removeprefix("@")
    views = {node.name: NodeView(node) for node in nodes if node.name == wanted}
    PictureCache.of_fleet(fleet_file(setup), os.environ).fill(views)
    names = (container.name for view in views.values() for container in view.containers())
    return _offered(filter(_PLAIN.fullmatch, names), incomplete)


selector_argument = click.argument(
    "selector", required=False, metavar="[SELECTOR]", shell_complete=complete_selector
)
node_argument = click.argument("node", metavar="NODE", shell_complete=complete_node)
container_argument = click.argument(
    "container", metavar="CONTAINER", shell_complete=complete_container
)
job_argument = click.argument("job", metavar="JOB")
json_option = click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
