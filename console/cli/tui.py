"""`roost tui`: the terminal interface. Textual is imported only when it opens."""

from __future__ import annotations

import os
import sys

import click

from agent.protocol.problems import ProblemError
from console.cli.nodes import all_nodes, fleet_file
from console.cli.output import say
from console.cli.rollout_desk import RolloutDesk
from console.cli.run import links
from console.cli.setup import Setup
from console.cli.shells import shell_command
from console.fleet.cache import PictureCache
from console.fleet.fleet_file import default_fleet_file, load_inventory
from console.fleet.follow import FleetFollower
from console.fleet.open_files import raise_open_files
from console.tui.keymap import load_keymap
from console.tui.profile import REFRESH_SECONDS, THEME_NAMES, choose_profile
from console.tui.start import run as open_interface


@click.command("tui")
@click.option(
    "--lean/--full",
    default=None,
    help="Few bytes, or all it can do. Lean by itself over SSH.",
)
@click.option("--theme", help=f"One of {', '.join(THEME_NAMES)}.")
@click.option(
    "--refresh",
    type=float,
    metavar="SECONDS",
    help=f"One of {', '.join(f'{seconds:g}' for seconds in REFRESH_SECONDS)}.",
)
@click.option("--view", default="fleet", show_default=True, help="What to show first.")
@click.option("--bytes", "show_bytes", is_flag=True, help="Show the bytes per second.")
@click.option(
    "--bell/--no-bell",
    default=True,
    help="Ring the terminal's bell when a rollout needs a person. On by itself.",
)
@click.pass_obj
def command(
    setup: Setup,
    *,
    lean: bool | None = None,
    theme: str | None = None,
    refresh: float | None = None,
    view: str = "fleet",
    show_bytes: bool = False,
    bell: bool = True,
) -> int:
    """Open the terminal interface."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ProblemError(
            "console.terminal",
            "the terminal interface needs a terminal",
            hint="Without one: roost node ls",
        )
    profile = choose_profile(
        os.environ,
        lean=lean,
        theme=theme,
        refresh_seconds=refresh,
        read_only=setup.read_only,
        show_bytes=show_bytes,
        bell=bell,
    )
    file, entries = fleet_file(setup), all_nodes(setup)
    keymap = load_keymap(default_fleet_file(os.environ).with_name("keymap.yaml"))
    if warning := raise_open_files(entries):
        say(warning)

    fleet = FleetFollower(entries, links(setup), cache=PictureCache.of_fleet(file, os.environ))
    desk = RolloutDesk(setup)
    code = open_interface(  # noqa: S604 - `shell` is ours, and no subprocess's
        fleet,
        fleet_name=file.stem if file.exists() else "this machine",
        profile=profile,
        shell=lambda view, container: shell_command(file, view.entry, container),
        keymap=keymap,
        folder=file.parent,
        view=view,
        desk=desk,
        inventory=load_inventory(file),
    )
    if not setup.passing:
        from console.tui.farewell import farewell_lines

        for line in farewell_lines(desk):
            say(line)
    return code
