"""How a screen talks with the person: short words, problems, questions, work that takes a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from agent.protocol.problems import Problem, ProblemError
from console.tui.beside import run_beside
from console.tui.ports import Context
from console.tui.rows.fleet import is_simulated
from console.tui.widgets.footer import Footer
from console.tui.widgets.question import Question


class TalkingScreen(Screen[None], inherit_bindings=False):
    """A screen with a last line in which things are said and asked."""

    def __init__(self, context: Context, footer: Footer) -> None:
        super().__init__()
        self.context = context
        self.footer = footer
        self._prompt: Widget | None = None
        self._operation: Worker[None] | None = None
        self._begun: Coroutine[Any, Any, None] | None = None

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
            # As the screen's own doing: a window that it opens answers whoever opened it, and
            # the prompt is gone by then.
            self.call_later(question.done, text)

        self._prompt = Prompt(
            self.context.look,
            msgspec.structs.replace(question, done=done),
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
        raise NotImplementedError

    @property
    def is_asking(self) -> bool:
        """Whether keys are text now."""
        return self._prompt is not None

    @property
    def prompt_has_focus(self) -> bool:
        """Whether what is typed now arrives in the prompt."""
        return self._prompt is not None and self._prompt.has_focus_within

    # taking things elsewhere

    def copy(self, text: str, what: str) -> None:
        """To the terminal's clipboard, and say so."""
        from console.tui.clipboard import copy_text

        async def copy() -> None:
            self.say(f"{what}: {await copy_text(self.app, text)}")

        run_beside(self, copy)

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
        self._begun = work
        self._operation = self.run_worker(
            work, group="operation", exclusive=True, exit_on_error=False
        )

    def cancel_work(self) -> None:
        """Stop what `begin` began."""
        if self._operation is not None:
            self._operation.cancel()

    @property
    def is_working(self) -> bool:
        """Whether something is going on that Escape would cancel."""
        return self._operation is not None and not self._operation.is_finished

    def open_shell(self, node: str, container: str | None = None) -> None:
        """A shell on a node or in a container; the screen comes back when it ends."""
        if self.context.shell_command is None:
            self.say("This console opens no shells.", "warn")
            return
        view = self.context.fleet.nodes[node]
        title = f"{node} {container or ''}".strip()
        if container is None and is_simulated(view):
            self.say(f"{node} is simulated: there is no machine to open a shell on.", "warn")
            return
        if container is None and view.entry.address.startswith("unix:"):
            title = f"{node} (this machine)"
        try:
            command = self.context.shell_command(view, container)
        except ProblemError as error:
            self.show_problem(error.problem())
            return
        from console.tui.shell import run_in_terminal

        async def run() -> None:
            self.say(await run_in_terminal(self.app, command, title=title))

        run_beside(self, run, group="shell", exclusive=True)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """However work ends, the person is told; nothing of it ends the app."""
        worker = event.worker
        if worker is self._operation and worker.is_finished:
            if self._begun is not None:
                self._begun.close()  # it may never have begun
            self._operation = self._begun = None
            self.footer.progress(None)
            if event.state is WorkerState.CANCELLED:
                self.say("Cancelled here; what was sent to a node may still be done there.", "warn")
        if event.state is WorkerState.ERROR and worker.error is not None:
            self.show_problem(problem_of(worker.error))


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
