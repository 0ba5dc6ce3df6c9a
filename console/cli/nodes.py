"""Which nodes a command is about."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.cli.setup import Setup
from console.fleet.fleet_file import default_fleet_file, load_inventory
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import select, unknown_node
from console.link.address import AGENT_SOCKET


def fleet_file(setup: Setup) -> Path:
    """The fleet.yaml in use; it need not be there."""
    return setup.fleet_file or default_fleet_file(os.environ)


def all_nodes(setup: Setup, *, own_socket: Path = Path(AGENT_SOCKET)) -> list[NodeEntry]:
    """The whole fleet. Who has no fleet.yaml has this machine, if an agent runs here.

    Raises:
        ProblemError: `settings.*`, or `fleet.empty`.
    """
    file = fleet_file(setup)
    if setup.fleet_file is not None and not file.exists():
        raise ProblemError(
            "settings.unreadable",
            f"{file}: there is no such file",
            params={"file": str(file)},
            hint=f"Make it with its first node: roost --fleet {file} node add ADDRESS",
        )
    nodes = load_inventory(file).nodes
    if nodes:
        return nodes
    if not file.exists() and own_socket.is_socket():
        return [NodeEntry(name=socket.gethostname(), address=f"unix://{own_socket}")]
    none = f"{file} lists no node" if file.exists() else f"there is no {file} yet"
    raise ProblemError(
        "fleet.empty",
        f"{none}, and no agent listens on {own_socket} here",
        params={"file": str(file)},
        hint="Put the agent on a host: roost node install ssh://user@host. Add one that has it:"
        " roost node add ssh://user@host. Look at simulated ones: roost demo.",
    )


def selected_nodes(setup: Setup, selector: str | None) -> list[NodeEntry]:
    """The nodes that `selector` means; None: all.

    Raises:
        ProblemError: `settings.*`, `fleet.*`.
    """
    nodes = all_nodes(setup)
    if not selector:
        return nodes
    try:
        found = select(selector, nodes)
    except ProblemError as problem:
        if problem.code == "fleet.label_unknown" and selector in {node.name for node in nodes}:
            problem.hint = f"{selector} is a node: write @{selector}"
        raise
    if not found:
        raise ProblemError(
            "fleet.selector",
            f"{selector!r} means none of the {len(nodes)} nodes",
            params={"selector": selector},
            hint="See the nodes and their labels: roost node ls --wide",
        )
    return found


def one_node(setup: Setup, name: str) -> NodeEntry:
    """The node of that name; `@name` is meant the same.

    Raises:
        ProblemError: `settings.*`, `fleet.*`.
    """
    nodes = all_nodes(setup)
    wanted = name.removeprefix("@")
    for node in nodes:
        if node.name == wanted:
            return node
    raise unknown_node(wanted, nodes)
