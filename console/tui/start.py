"""Opens the terminal interface. Textual is imported only once its settings are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.fleet.inventory import Inventory
from console.fleet.picture import NodeView
from console.tui.collecting import Collector
from console.tui.look.glyphs import glyphs_for
from console.tui.profile import Profile, set_textual_knobs

if TYPE_CHECKING:
    from console.fleet.follow import FleetFollower
    from console.tui.rollouts import Desk


def run(
    fleet: FleetFollower,
    *,
    fleet_name: str,
    profile: Profile,
    shell: Callable[[NodeView, str | None], Sequence[str]],
    keymap: Mapping[str, str] | None = None,
    folder: Path | None = None,
    view: str = "fleet",
    desk: Desk | None = None,
    inventory: Inventory | None = None,
) -> int:
    """Show the fleet until the person leaves; returns the exit code.

    Args:
        fleet: its `nodes` hold the cached picture already; `start` is called after the first paint.
        shell: the command for a shell on a node, or in one of its containers (its id or name);
            raises ProblemError where there is no way.
        keymap: action ids to keys, from `keymap.load_keymap`.
        folder: where the fleet's file is, and tables of the operator may be.
        view: what is shown first, as it is typed after `:`.
        desk: what is done with rollouts; None: nothing.
        inventory: what fleet.yaml expects of the nodes; None: nothing.
    """
    collector = Collector()
    collector.hold_off()
    set_textual_knobs(os.environ)

    from console.snapshots.folder import snapshots_folder
    from console.tui.app import RoostApp
    from console.tui.carrier import LinkCarrier
    from console.tui.commands import parse_command
    from console.tui.compat import Compat
    from console.tui.look.look import Look
    from console.tui.looking import Looking
    from console.tui.ports import Context
    from console.tui.pushing import Pushes
    from console.tui.rollouts import Rollouts
    from console.tui.snapshots import LinkSnapshots

    context = Context(
        fleet=fleet,
        fleet_name=fleet_name,
        look=Look(profile.theme, glyphs_for(os.environ)),
        profile=profile,
        keymap=keymap or {},
        pushes=Pushes(LinkCarrier(fleet.client, os.environ), _here()),
        rollouts=Rollouts(desk, bell=profile.bell),
        snapshots=LinkSnapshots(snapshots_folder(os.environ), fleet.client),
        compat=Compat(Looking(os.environ, folder)),
        inventory=inventory or Inventory(),
        shell_command=shell,
    )
    app = RoostApp(context, first=parse_command(view), collector=collector)
    return app.run(mouse=profile.mouse) or app.return_code or 0


def _here() -> str:
    """The folder that Roost was started in; the person's home where that one is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return "~"
