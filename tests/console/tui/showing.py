"""What an app shows, as a terminal would show it."""

from __future__ import annotations

from typing import cast

from textual._compositor import LayoutUpdate
from textual.app import App
from textual.pilot import Pilot

from console.tui.app import RoostApp
from console.tui.screens.tables import TableView
from console.tui.widgets.table import RowTable
from tests.console.tui.fake_fleet import FakeFleet


def screen_text(app: App[int]) -> str:
    """The screen's lines without blanks at their ends; windows over it included."""
    update = app.screen._compositor.render_update(
        full=True, screen_stack=app._background_screens, simplify=True
    )
    assert isinstance(update, LayoutUpdate)
    lines = ["".join(strip.text for strip in strips).rstrip() for strips in update.strips]
    return "\n".join(lines)


def fleet_of(app: RoostApp) -> FakeFleet:
    return cast("FakeFleet", app.context.fleet)


def table_of(app: RoostApp) -> RowTable:
    """The table of the screen on top."""
    view = app.view
    assert isinstance(view, TableView)
    return view.table


async def settled(pilot: Pilot[int]) -> str:
    """Wait for what is going on, then the screen's text."""
    await pilot.pause()
    # A log is followed for ever.
    going_on = [worker for worker in pilot.app.workers if worker.group != "log"]
    if going_on:
        await pilot.app.workers.wait_for_complete(going_on)
    await pilot.pause()
    return screen_text(pilot.app)


async def type_command(pilot: Pilot[int], command: str) -> str:
    """Type a command after `:`, and Enter."""
    await pilot.press("colon")
    await pilot.press(*(" " if c == " " else c for c in _keys(command)), "enter")
    return await settled(pilot)


def _keys(text: str) -> list[str]:
    names = {" ": "space", "/": "slash", "@": "at", "-": "minus", "=": "equals_sign"}
    return [names.get(character, character) for character in text]
