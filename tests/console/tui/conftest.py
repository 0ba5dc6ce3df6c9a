"""A fixed clock, and an app over a fake fleet."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from console.fleet.inventory import Inventory
from console.fleet.picture import NodeView
from console.tui.app import RoostApp
from console.tui.commands import Command
from console.tui.compat import Compat
from console.tui.look.glyphs import UNICODE, Glyphs
from console.tui.look.look import Look
from console.tui.ports import Context
from console.tui.profile import choose_profile
from console.tui.pushing import Pushes
from console.tui.rollouts import Rollouts
from console.tui.snapshots import NoSnapshots, SnapshotDesk
from tests.console.tui.fake_fleet import FakeFleet
from tests.console.tui.fakes import NOW, varied_nodes

MakeApp = Callable[..., RoostApp]


@pytest.fixture(autouse=True)
def _fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages are the same at every run. Textual and asyncio go by other clocks."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def make_app() -> MakeApp:
    """An app; its fleet is `app.context.fleet`. Headless apps show nothing to a terminal."""

    def make(
        nodes: list[NodeView] | None = None,
        *,
        first: str = "fleet",
        theme: str = "ansi",
        read_only: bool = False,
        glyphs: Glyphs = UNICODE,
        keymap: dict[str, str] | None = None,
        pushes: Pushes | None = None,
        compat: Compat | None = None,
        rollouts: Rollouts | None = None,
        inventory: Inventory | None = None,
        snapshots: SnapshotDesk | None = None,
    ) -> RoostApp:
        profile = choose_profile({}, theme=theme, read_only=read_only)
        context = Context(
            fleet=FakeFleet(varied_nodes() if nodes is None else nodes),
            fleet_name="test",
            look=Look(profile.theme, glyphs),
            profile=profile,
            keymap=keymap or {},
            pushes=pushes or Pushes(),
            compat=compat or Compat(),
            rollouts=rollouts or Rollouts(),
            inventory=inventory or Inventory(),
            snapshots=snapshots or NoSnapshots(),
            shell_command=lambda view, container: ["true", view.name, container or ""],
        )
        view, _, argument = first.partition(" ")
        return RoostApp(context, first=Command(view, argument))

    return make
