"""`roost tui`, or no command at all: the terminal interface over the fleet."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.cli.nodes import all_nodes, fleet_file
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.cache import PictureCache
from console.fleet.follow import FleetFollower
from console.fleet.picture import NodeView
from console.link.address import parse_address
from console.tui.keymap import load_keymap
from console.tui.profile import REFRESH_SECONDS, THEME_NAMES, choose_profile
from console.tui.start import run


@click.command("tui")
@click.option("--lean/--no-lean", default=None, help="Few bytes; by itself over SSH.")
@click.option("--theme", help=f"One of {', '.join(THEME_NAMES)}.")
@click.option(
    "--refresh",
    type=float,
    metavar="SECONDS",
    help=f"{', '.join(f'{each:g}' for each in REFRESH_SECONDS)}: how often the screen changes.",
)
@click.option(
    "--bytes", "show_bytes", is_flag=True, help="Show the bytes a second to the terminal."
)
@click.argument("view", required=False, default="fleet")
@click.pass_obj
def command(
    setup: Setup,
    view: str,
    theme: str | None,
    refresh: float | None,
    *,
    lean: bool | None,
    show_bytes: bool,
) -> None:
    """Open the terminal interface, on VIEW if one is named: fleet, containers, gpus, doctor."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ProblemError(
            "console.terminal",
            "the terminal interface wants a terminal on both sides",
            hint="Use the commands in scripts: roost node ls --json",
        )
    profile = choose_profile(
        os.environ,
        lean=lean,
        theme=theme,
        refresh_seconds=refresh,
        read_only=setup.read_only,
        show_bytes=show_bytes,
    )
    file = fleet_file(setup)
    entries = all_nodes(setup)
    fleet = FleetFollower(entries, links(setup), cache=PictureCache.of_fleet(file, os.environ))

    code = run(  # noqa: S604  a callback that is named shell, no shell
        fleet,
        fleet_name=file.stem if file.exists() else "this machine",
        profile=profile,
        shell=lambda node, container: shell_command(setup, node, container),
        keymap=load_keymap(_keymap_file()),
        view=view,
    )
    click.get_current_context().exit(code)


def shell_command(setup: Setup, node: NodeView, container: str | None) -> Sequence[str]:
    """What to run for a shell on a node, or in one of its containers through the agent.

    Raises:
        ProblemError: `console.usage` for a node that is reached over https: it has no shell.
    """
    if container is not None:
        fleet = ["--fleet", str(setup.fleet_file)] if setup.fleet_file else []
        program = [sys.executable, "-m", "console.cli.main", *fleet]
        return [*program, "container", "exec", "-it", node.name, container, "--", "sh"]
    address = parse_address(node.entry.address)
    if address.kind == "unix":
        return [os.environ.get("SHELL") or "/bin/sh"]
    if address.kind == "ssh":
        port = ["-p", str(address.port)] if address.port else []
        host = f"{address.user}@{address.host}" if address.user else address.host
        return ["ssh", "-t", *port, "--", host]
    raise ProblemError(
        "console.usage",
        f"{node.name} is reached over https, which carries no shell",
        hint="Open one in a container of the node, or log in by ssh.",
    )


def _keymap_file() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(given) if given else Path.home() / ".config"
    return folder / "roost" / "keymap.yaml"
