"""The terminal interface as a Textual app: which screen is shown, and when it is refreshed."""

from __future__ import annotations

import time

from textual.screen import Screen
from textual.timer import Timer

from agent.protocol.problems import ProblemError
from console.tui.beside import run_beside
from console.tui.collecting import Collector
from console.tui.commands import Command, parse_command
from console.tui.display import CellDiffDisplay
from console.tui.look.themes import SKINS
from console.tui.meter import Meter
from console.tui.navigate import build_view
from console.tui.ports import Context
from console.tui.profile import REFRESH_SECONDS, THEME_NAMES, theme_named
from console.tui.ringing import Ringer
from console.tui.screens.base import View
from console.tui.screens.fleet import FleetScreen
from console.tui.typing_ahead import TypingAhead

_HOME = Command("fleet")
_TYPED = 50
# The first answers of the nodes come soon after the start; one refresh catches most of them.
_FIRST_SECONDS = 0.7
# How often rollouts are looked at behind other screens: their own look at each refresh.
_ROLLOUT_SECONDS = 5.0


class RoostApp(TypingAhead[int], CellDiffDisplay[int]):
    """Follows a fleet. Everything that it needs comes in the context."""

    TITLE = "roost"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = """
    Screen { background: $background; color: $foreground; }
    ModalScreen { background: transparent; align: center middle; }
    .too-small > * { display: none; }
    .too-small > TooSmall { display: block; }
    """

    def __init__(
        self, context: Context, *, first: Command = _HOME, collector: Collector | None = None
    ) -> None:
        """`collector` is told of the first paint and of quiet moments."""
        super().__init__()
        self.context = context
        self.paused = False
        self._leaving = False  # the person is being asked
        self.refresh_seconds = context.profile.refresh_seconds
        self.typed: list[str] = []
        self._first = first
        self._collector = collector
        self._last = _HOME
        self._ringer = Ringer(context.rollouts)
        self._ticker: Timer | None = None
        self._meter = Meter(lambda: self.bytes_written) if context.profile.show_bytes else None
        self._rate: float | None = None
        for skin in SKINS.values():
            self.register_theme(skin.theme)
        self.theme = self._first_theme = context.look.theme
        self.stylesheet.set_variables(self.get_css_variables())
        # Two widgets on every screen, and their style sheets, that nothing here uses.
        self._disable_tooltips = self._disable_notifications = True

    def refresh_css(self, animate: bool = True) -> None:  # noqa: FBT001, FBT002  # Textual's
        """Textual calls it at the start too, when all has just been parsed for this theme."""
        if self._dom_ready or self.theme != self._first_theme:
            super().refresh_css(animate)

    def get_default_screen(self) -> Screen[None]:
        return FleetScreen(self.context, _HOME)

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        """After the first paint: follow the nodes. Until then only what was cached is shown."""
        if self._collector is not None:
            self._collector.begin(time.monotonic())
        if self._first != _HOME:
            self.go(str(self._first))
        await self.context.fleet.start()
        self.set_timer(_FIRST_SECONDS, self.tick)
        self._ticker = self.set_interval(self.refresh_seconds, self.tick)
        self.look_at_rollouts()
        self.set_interval(_ROLLOUT_SECONDS, self.look_at_rollouts)

    async def on_unmount(self) -> None:
        await self.context.pushes.stop()
        await self.context.fleet.stop()

    # refreshing

    @property
    def bytes_per_second(self) -> float | None:
        """None while it is not shown."""
        return self._rate

    def tick(self) -> None:
        """Bring the screen that can be seen up to date; the others remember what changed."""
        views = self.views
        if self._collector is not None:
            self._collector.look(time.monotonic(), typed_at=self.last_key_at)
        self._ring()
        if self.paused or not views:  # at the end there is a moment without screens
            return
        if self._meter is not None:
            self._rate = self._meter.rate()
        changed = self.context.fleet.take_changed()
        for view in views:
            view.dirty |= changed
        if views[-1].is_current:  # not under a window
            views[-1].bring_up_to_date()

    def look_at_rollouts(self) -> None:
        """On every screen: one may need a person."""

        async def look() -> None:
            await self.context.rollouts.look()

        run_beside(self, look, group="journal")

    def _ring(self) -> None:
        calls = self._ringer.new_calls()
        if calls and self.views:
            more = f" (and {len(calls) - 1} more: :rollouts)" if len(calls) > 1 else ""
            self.view.say(f"{calls[0]}{more}", "warn")
            if self.context.rollouts.bell:
                self.bell()

    @property
    def views(self) -> list[View]:
        """The screens of the breadcrumbs."""
        return [screen for screen in self.screen_stack if isinstance(screen, View)]

    @property
    def view(self) -> View:
        """The screen that is on top, under any question."""
        return self.views[-1]

    # going from screen to screen

    def go(self, command: str) -> None:
        """Do what was typed after `:`. A view replaces all but the first screen."""
        self.typed = [*(text for text in self.typed if text != command), command][-_TYPED:]
        self._go(command, on_top=False)

    def drill(self, command: str) -> None:
        """Open a view on top of this one."""
        self._go(command, on_top=True)

    def _go(self, text: str, *, on_top: bool) -> None:
        try:
            command = parse_command(text)
            if command.view in _SPECIAL:
                getattr(self, f"_go_{command.view}")(command.argument)
                return
            self._show(command, on_top=on_top)
        except ProblemError as error:
            self.view.show_problem(error.problem())

    def _show(self, command: Command, *, on_top: bool) -> None:
        if not on_top and any(view.is_working for view in self.views):
            self.view.say("Something is still going on here: Esc cancels it.", "warn")
            return
        here = self.view.command
        view = build_view(command, self.context)
        if not on_top:
            while len(self.views) > 1:
                self.pop_screen()
        home = self.view
        if not on_top and isinstance(view, FleetScreen) and isinstance(home, FleetScreen):
            home.retarget(command)
        else:
            self.push_screen(view)
        self._last = here

    def go_last(self) -> None:
        """The view before this one."""
        self._go(str(self._last), on_top=False)

    def go_back(self) -> bool:
        """Leave the screen; False on the first one."""
        if len(self.views) <= 1:
            return False
        self._last = self.view.command
        self.pop_screen()
        return True

    def leave(self) -> None:
        """End the console, and ask before where that would end a push. Nothing on a node stops."""
        going_on = self.context.pushes.going_on
        if not going_on or self._leaving:  # who wants to leave from the question leaves
            self.exit(0)
            return
        from console.tui.screens.leaving import leave_question

        def answered(go: bool | None) -> None:  # noqa: FBT001  # Textual's callback
            self._leaving = False
            if go:
                self.exit(0)

        self._leaving = True
        self.push_screen(leave_question(self.context), answered)

    def _go_quit(self, _: str) -> None:
        self.leave()

    def _go_help(self, _: str) -> None:
        self.do("help")

    def _go_theme(self, name: str) -> None:
        self.wear(theme_named(name.removeprefix("@")) if name else self._next_theme())

    def _go_refresh(self, seconds: str) -> None:
        if seconds.removesuffix("s") not in {f"{s:g}" for s in REFRESH_SECONDS}:
            self.do("refresh")
        else:
            self.refresh_every(float(seconds.removesuffix("s")))

    # what is the same on every screen

    def do(self, action_id: str) -> None:
        """An action of the registry that no screen handles itself."""
        getattr(self, f"do_{action_id}")()

    def do_quit(self) -> None:
        self.leave()

    def do_rollouts(self) -> None:
        self.drill("rollouts")

    def do_last(self) -> None:
        self.go_last()

    def do_help(self) -> None:
        from console.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.context, self.view.scope))

    def do_palette(self) -> None:
        from console.tui.screens.palette import PaletteScreen

        view = self.view

        def chosen(action_id: str | None) -> None:
            from console.tui.actions import action_by_id
            from console.tui.views import VIEW_HELP

            if action_id is not None and action_id.startswith(":"):
                name = action_id.removeprefix(":")
                if VIEW_HELP[name].required:
                    view.act_command(f"{name} ")
                else:
                    self.go(name)
            elif action_id is not None:
                view.perform(action_by_id(action_id))

        self.push_screen(PaletteScreen(self.context, view.scope), chosen)

    def do_pause(self) -> None:
        self.paused = not self.paused
        self.view.show_bars()
        if not self.paused:
            self.tick()

    def do_refresh(self) -> None:
        position = REFRESH_SECONDS.index(self.refresh_seconds)
        self.refresh_every(REFRESH_SECONDS[(position + 1) % len(REFRESH_SECONDS)])

    def refresh_every(self, seconds: float) -> None:
        """Change how often the screen is brought up to date."""
        self.refresh_seconds = seconds
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = self.set_interval(seconds, self.tick)
        self.view.show_bars()
        self.view.say(f"The screen is refreshed every {seconds:g} s.")

    def do_bytes(self) -> None:
        if self._meter is None:
            self._meter = Meter(lambda: self.bytes_written)
            self._rate = self._meter.rate()
        else:
            self._meter = self._rate = None
        self.view.show_bars()

    def do_theme(self) -> None:
        self.wear(self._next_theme())

    def _next_theme(self) -> str:
        position = THEME_NAMES.index(self.context.look.theme)
        return THEME_NAMES[(position + 1) % len(THEME_NAMES)]

    def wear(self, theme: str) -> None:
        """Show everything in another theme."""
        self.context.look.dress(theme)
        self.theme = theme
        for view in self.views:
            view.redress()
        self.view.say(f"Theme {theme}: {SKINS[theme].about}.")


_SPECIAL = frozenset({"quit", "help", "theme", "refresh"})
