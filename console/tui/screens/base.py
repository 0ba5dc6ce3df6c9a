"""What every screen has: header, breadcrumbs, body, footer, a prompt, and its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from console.tui.action import Action, Scope
from console.tui.actions import offered_on
from console.tui.commands import Command, choices, complete, hint_for
from console.tui.keys import keys_of
from console.tui.ports import Context, Host
from console.tui.screens.talking import TalkingScreen
from console.tui.widgets.bars import Bar
from console.tui.widgets.footer import Footer
from console.tui.widgets.header import header_left, header_right
from console.tui.widgets.line import Piece
from console.tui.widgets.question import Question

SMALLEST = (50, 11)
"""Columns and rows under which only a message is shown."""


class Body(Vertical):
    """What a screen is about. Framed where it is about production."""

    DEFAULT_CSS = """
    Body { height: 1fr; width: 1fr; }
    Body.production { border: double $error; border-title-color: $error; }
    Body.production.ascii { border: ascii $error; }
    """


class View(TalkingScreen, inherit_bindings=False):
    """A screen of the fleet. Handlers of actions are methods: `act_` and the action's id, with
    `_` for its dots."""

    scope: ClassVar[Scope]
    crumb: str = ""
    """Its name in the breadcrumbs."""

    def __init__(self, context: Context, command: Command) -> None:
        actions = offered_on(self.scope)
        super().__init__(context, Footer(context.look, actions, context.keymap, self.is_usable))
        self.command = command
        self.dirty: set[str] = set()
        """Nodes that changed since this screen was brought up to date."""
        self._header = Bar(context.look)
        self._crumbs = Bar(context.look)
        self._body = Body()
        self._pushing: Bar | None = None
        self._keys = keys_of(actions, context.keymap)

    # what it consists of

    def body(self) -> Sequence[Widget]:
        """The widgets between breadcrumbs and footer."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._crumbs
        self._body.set_class(self.context.look.glyphs.ascii, "ascii")
        with self._body:
            yield from self.body()
        yield self.footer

    @property
    def host(self) -> Host:
        return cast("Host", self.app)

    # Textual calls `on_` methods of every class of an object, so screens override these instead.

    def on_mount(self) -> None:
        self.arrive()

    def on_screen_resume(self) -> None:
        self.resume()

    def arrive(self) -> None:
        """The screen has its widgets now; `resume` comes next."""

    def resume(self) -> None:
        """The screen is the one on top, at first or again."""
        self.bring_up_to_date()

    # bringing it up to date

    def bring_up_to_date(self) -> None:
        """Show what the fleet's picture says now; `dirty` says which nodes differ."""
        self.dirty.clear()
        self.show_bars()

    def show_bars(self) -> None:
        """Header and breadcrumbs, and the frame."""
        host = self.host
        context = self.context
        right = header_right(
            context.profile,
            paused=host.paused,
            refresh_seconds=host.refresh_seconds,
            bytes_per_second=host.bytes_per_second,
        )
        room = self.app.size.width - sum(len(text) for text, _ in right)
        left = header_left(
            context.fleet_name, context.fleet.nodes.values(), room, context.look.glyphs
        )
        self._header.show(left, right)
        position = self.position()
        room = self.app.size.width - sum(len(text) for text, _ in position)
        self._crumbs.show(self.crumbs(room), position)
        self._show_pushing()
        production = self.is_production()
        if production != self._body.has_class("production"):
            self.frame(production=production)

    def pushing_line(self) -> str | None:
        """What is said of pushes that go on behind this screen."""
        return self.context.pushes.line()

    def _show_pushing(self) -> None:
        """A line over the footer, while there is something to say."""
        text = self.pushing_line()
        if text is not None and self._pushing is None:
            self._pushing = Bar(self.context.look)
            self.mount(self._pushing, before=self.footer)
        elif text is None and self._pushing is not None:
            self._pushing.remove()
            self._pushing = None
        if text is not None and self._pushing is not None:
            self._pushing.show([(f" {text}", "accent")], [(" :push ", "dim")])

    def frame(self, *, production: bool) -> None:
        """Say around everything that it is production, or no more."""
        self._body.set_class(production, "production")
        self._body.border_title = "PRODUCTION" if production else None

    def crumbs(self, room: int) -> list[Piece]:
        """Where this is: the screens below it and its own name, which is never what is cut."""
        below = [view.crumb for view in self.app.screen_stack if isinstance(view, View)]
        names = below[: below.index(self.crumb) + 1] if self.crumb in below else [self.crumb]
        glyphs = self.context.look.glyphs
        between = f" {glyphs.crumb} "
        while len(names) > 1 and len(between.join(names)) > room:
            rest = names[2 if names[0] == glyphs.more else 1 :]
            names = [glyphs.more, *rest] if rest else names[1:]
        return [(between.join(names), "accent")]

    def position(self) -> list[Piece]:
        """What stands at the right end of the breadcrumbs."""
        return []

    def is_production(self) -> bool:
        """Whether all that is shown belongs to production nodes."""
        return False

    def redress(self) -> None:
        """Draw everything in the theme that is now worn."""
        for widget in self.query("*"):
            widget.refresh()

    # keys

    def is_usable(self, action: Action) -> bool:
        """Whether the footer offers it."""
        return action.role == "viewer" or not self.context.profile.read_only

    def on_key(self, event: events.Key) -> None:
        """A key that no widget took. While something is typed, keys are text."""
        action = self._keys.get(event.key)
        if action is not None and not self.is_asking:
            event.stop()
            event.prevent_default()
            self.perform(action)

    def perform(self, action: Action) -> None:
        """Do it, or say why not."""
        self.footer.hush()
        if action.role != "viewer" and self.context.profile.read_only:
            self.say(f"This console is read-only: no {action.label} here.", "warn")
            return
        if action.id.startswith("sort."):
            self.act_sort(action.id.removeprefix("sort."))
            return
        handler = getattr(self, f"act_{action.id.replace('.', '_')}", None)
        if handler is not None:
            handler()
        else:
            self.host.do(action.id)

    def act_sort(self, column: str) -> None:
        """Only tables sort."""

    def act_back(self) -> None:
        if self.is_working:
            self.cancel_work()
        elif not self.host.go_back():
            self.say("This is the first screen. q leaves Roost.")

    def act_leave(self) -> None:
        if self.is_working:
            self.cancel_work()
        elif not self.host.go_back():
            self.host.do("quit")

    def act_close(self) -> None:
        self.act_leave()

    def act_command(self, text: str = "") -> None:
        nodes = sorted(self.context.fleet.nodes)
        self.ask(
            Question(
                ":",
                lambda text: self.host.go(text) if text else None,
                complete=lambda text: complete(text, nodes),
                choices=lambda text: choices(text, nodes),
                hint=hint_for,
                text=text,
                history=tuple(self.host.typed),
            )
        )

    def focus_body(self) -> None:
        for widget in self._body.query("*"):
            if widget.can_focus and widget.display:
                widget.focus()
                return

    # sizes

    def on_resize(self, event: events.Resize) -> None:
        columns, rows = SMALLEST
        self._tell_too_small(
            too_small=event.size.width < columns or event.size.height < rows, size=event.size
        )

    def _tell_too_small(self, *, too_small: bool, size: Any) -> None:
        found = self.query("TooSmall")
        if too_small:
            from console.tui.widgets.too_small import TooSmall

            for widget in found:
                cast("TooSmall", widget).tell(size)
            if not found:
                self.mount(TooSmall(self.context.look, size, SMALLEST), before=0)
        elif found:
            found.remove()
        self.set_class(too_small, "too-small")
