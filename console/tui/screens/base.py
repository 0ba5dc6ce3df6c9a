"""What every screen has: header, breadcrumbs, body, footer, a prompt, and its keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from agent.protocol.problems import Problem, ProblemError
from console.tui.actions import Action, Scope, offered_on
from console.tui.commands import Command
from console.tui.keys import keys_of
from console.tui.ports import Context, Host
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


class View(Screen[None], inherit_bindings=False):
    """A screen of the fleet. Handlers of actions are methods: `act_` and the action's id, with
    `_` for its dots."""

    scope: ClassVar[Scope]
    crumb: str = ""
    """Its name in the breadcrumbs."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__()
        self.context = context
        self.command = command
        self.dirty: set[str] = set()
        """Nodes that changed since this screen was brought up to date."""
        self.footer = Footer(context.look, offered_on(self.scope), context.keymap, self.is_usable)
        self._header = Bar(context.look)
        self._crumbs = Bar(context.look)
        self._body = Body()
        self._prompt: Widget | None = None
        self._operation: Worker[None] | None = None
        self._keys = keys_of(offered_on(self.scope), context.keymap)

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
        """The screen has its widgets now."""
        self.bring_up_to_date()

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
        self._crumbs.show(self.crumbs(), self.position())
        production = self.is_production()
        if production != self._body.has_class("production"):
            self._body.set_class(production, "production")
            self._body.border_title = "PRODUCTION" if production else None

    def crumbs(self) -> list[Piece]:
        """Where this is: the screens below it and its own name."""
        glyph = f" {self.context.look.glyphs.crumb} "
        below = [view.crumb for view in self.app.screen_stack if isinstance(view, View)]
        names = below[: below.index(self.crumb) + 1] if self.crumb in below else below
        return [(glyph.join(names), "accent")]

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
        if action is not None and self._prompt is None:
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
        if self._operation is not None and self.is_working:
            self._operation.cancel()
        elif not self.host.go_back():
            self.say("This is the first screen. :q leaves Roost.")

    def act_command(self) -> None:
        self.ask(
            Question(
                ":",
                lambda text: self.host.go(text) if text else None,
                complete=self.complete_command,
            )
        )

    def complete_command(self, text: str) -> str:
        from console.tui.commands import complete

        return complete(text, sorted(self.context.fleet.nodes))

    # saying and asking

    def say(self, text: str, tone: str = "") -> None:
        """A short word in the last line."""
        self.footer.say(text, tone)

    def show_problem(self, problem: Problem, *, about: str = "") -> None:
        """A problem in full, with its hint."""
        from console.tui.screens.problem import ProblemScreen

        self.app.push_screen(ProblemScreen(self.context, problem, about=about))

    def ask(self, question: Question) -> None:
        """Ask in the last line; the answer goes to the question's `done`."""
        if self._prompt is not None:
            return
        from console.tui.widgets.prompt import Prompt

        def done(text: str | None) -> None:
            self.close_prompt()
            question.done(text)

        self._prompt = Prompt(
            self.context.look,
            replace(question, done=done),
        )
        self.footer.display = False
        self.mount(self._prompt)

    def close_prompt(self) -> None:
        if self._prompt is not None:
            self._prompt.remove()
            self._prompt = None
            self.footer.display = True
            self.focus_body()

    def focus_body(self) -> None:
        """Give the keys back to what the screen is about."""
        for widget in self._body.query("*"):
            if widget.can_focus and widget.display:
                widget.focus()
                return

    # taking things elsewhere

    def copy(self, text: str, what: str) -> None:
        """To the terminal's clipboard, and say so."""
        from console.tui.clipboard import copy_text

        async def copy() -> None:
            self.say(f"{what}: {await copy_text(self.app, text)}")

        self.run_worker(copy(), exit_on_error=False)

    def ask_where_to_save(self, name: str, make: Callable[[str], str], what: str) -> None:
        """Ask for a file's name, `name` at first, and write what `make` gives for it.

        Raises nothing: what goes wrong is shown.
        """
        from console.tui.export import write_new

        async def save(path: str) -> None:
            await asyncio.to_thread(write_new, path, make(path))
            self.say(f"{what} saved to {path}", "good")

        def answered(path: str | None) -> None:
            if path:
                self.begin(save(path), f"saving {path} ...")

        self.ask(Question("save as: ", answered, text=name))

    # work that takes a while

    def begin(self, work: Coroutine[Any, Any, None], words: str) -> None:
        """Run `work`; `words` stand in the footer until it ends or Escape cancels it."""
        self.footer.progress(words)
        self._operation = self.run_worker(
            work, group="operation", exclusive=True, exit_on_error=False
        )

    @property
    def is_working(self) -> bool:
        """Whether something is going on that Escape would cancel."""
        return self._operation is not None and not self._operation.is_finished

    def open_shell(self, node: str, container: str | None = None) -> None:
        """A shell on a node or in a container; the screen comes back when it ends."""
        if self.context.shell_command is None:
            self.say("This console opens no shells.", "warn")
            return
        try:
            command = self.context.shell_command(self.context.fleet.nodes[node], container)
        except ProblemError as error:
            self.show_problem(error.problem())
            return
        from console.tui.shell import run_in_terminal

        said = run_in_terminal(self.app, command, title=f"{node} {container or ''}".strip())
        self.say(said)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """However work ends, the person is told; nothing of it ends the app."""
        worker = event.worker
        if worker is self._operation and worker.is_finished:
            self._operation = None
            self.footer.progress(None)
            if event.state is WorkerState.CANCELLED:
                self.say("Cancelled here; what was sent to a node may still be done there.", "warn")
        if event.state is WorkerState.ERROR and worker.error is not None:
            self.show_problem(problem_of(worker.error))

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


def problem_of(error: BaseException) -> Problem:
    """Any error as a problem that can be shown."""
    if isinstance(error, ProblemError):
        return error.problem()
    return Problem(
        code="console.internal",
        title="Roost made a mistake",
        status=500,
        detail=f"{type(error).__name__}: {error}"[:500],
        hint="Please report it, with what you did before. Roost goes on.",
    )
