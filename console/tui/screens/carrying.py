"""Carrying something out on nodes: asked first, at most eight at once, each one told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.protocol.problems import Problem
from console.text import clean, plural
from console.tui.screens.base import View
from console.tui.screens.talking import problem_of
from console.tui.widgets.page import BLANK, Entry

_AT_ONCE = 8
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do on one node; `do` answers what came of it: "detector:1.4 is removed".

    `typed` is what has to be typed on production; None: the node's name.
    """

    node: str
    production: bool
    what: str
    do: Callable[[], Awaitable[str]]
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What the person is asked, and what is done then.

    `verb` is for the button and for what has to be typed, `doing` for the footer.
    """

    verb: str
    doing: str
    noun: str
    tasks: Sequence[Task]
    about: Sequence[Entry] = ()
    """Said of it, under the question."""
    done: str = "are done"
    """Said of several, at the end."""


class Carrying(View):
    """For screens that change things on nodes."""

    def give(self, order: Order, *, keep: str = "Cancel") -> None:
        """Ask, with Cancel (or `keep`) focused; then do it and say what came of it."""
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        from console.tui.screens.confirm import ConfirmScreen

        def answered(go: bool | None) -> None:  # noqa: FBT001  # Textual's callback
            if go:
                one = order.tasks[0].what if len(order.tasks) == 1 else str(len(order.tasks))
                self.begin(self._carry_out(order), f"{order.doing} {clean(one)} ...")

        production = any(task.production for task in order.tasks)
        self.app.push_screen(
            ConfirmScreen(
                self.context,
                question(order),
                title="PRODUCTION" if production else order.verb.capitalize(),
                choice=order.verb.capitalize(),
                typed=must_type(order),
                danger=production,
                keep=keep,
            ),
            answered,
        )

    async def _carry_out(self, order: Order) -> None:
        """One failure stops no other; all of them are told at the end."""
        limit = asyncio.Semaphore(_AT_ONCE)
        done: list[str] = []
        failed: list[tuple[Task, Problem]] = []
        count = len(order.tasks)

        async def one(task: Task) -> None:
            async with limit:
                try:
                    done.append(await task.do())
                except Exception as error:  # noqa: BLE001  # one failure stops no other
                    failed.append((task, problem_of(error)))
            if count > 1:
                self.footer.progress(f"{order.doing} ... {len(done) + len(failed)} of {count}")

        await asyncio.gather(*map(one, order.tasks))
        if failed:
            task, problem = failed[0]
            if count > 1:
                problem = _of_several(order, failed)
            self.show_problem(problem, about=f"{order.verb} {task.what} on {task.node}")
        elif count == 1:
            self.say(f"{done[0]} on {order.tasks[0].node}", "good")
        else:
            self.say(f"{order.verb}: all {count} {order.done}", "good")


def must_type(order: Order) -> str | None:
    """What has to be typed: nothing for one thing on a node outside production."""
    if len(order.tasks) > 1:
        return f"{order.verb} {len(order.tasks)}"
    task = order.tasks[0]
    if not task.production:
        return None
    name = task.typed or task.node
    # A name that a keyboard cannot type is not asked for.
    return name if name.isascii() and name.isprintable() else order.verb


def question(order: Order) -> list[Entry]:
    """What is about to be done, to what, and where."""
    tasks, verb = order.tasks, order.verb.capitalize()
    nodes = sorted({task.node for task in tasks})
    production = sorted({task.node for task in tasks if task.production})
    if len(tasks) == 1:
        entries = [Entry("", f"{verb} {tasks[0].what} on {nodes[0]}?", "accent")]
    else:
        what, where = plural(len(tasks), order.noun), plural(len(nodes), "node")
        entries = [Entry("", f"{verb} {what} on {where}?", "accent"), BLANK]
        entries += [Entry("", f"{task.node}: {task.what}") for task in tasks[:_LISTED]]
        if len(tasks) > _LISTED:
            entries.append(Entry("", f"and {len(tasks) - _LISTED} more", "dim"))
    if order.about:
        entries += [BLANK, *order.about]
    if production:
        entries += [BLANK, Entry("", f"PRODUCTION: {', '.join(production)}", "bad")]
    return entries


def _of_several(order: Order, failed: Sequence[tuple[Task, Problem]]) -> Problem:
    first = failed[0][1]
    count = plural(len(order.tasks), order.noun)
    return Problem(
        code=first.code,
        title=f"{order.verb} failed for {len(failed)} of {count}",
        status=first.status,
        detail="\n".join(f"{task.node}: {problem.detail}" for task, problem in failed[:_LISTED]),
        hint=first.hint,
    )
