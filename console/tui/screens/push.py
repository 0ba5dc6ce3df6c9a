"""Pushes node by node: how far they are, and how they ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from agent.protocol.jobs import ENDED
from console.fleet.inventory import NodeEntry
from console.fleet.picture import NodeView
from console.text import plural
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.pushing import NodePush, outcome_words
from console.tui.rows.cells import Row
from console.tui.rows.jobs import state_text
from console.tui.rows.push import COLUMNS, push_row
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.screens.push_flow import PushFlow, read_when_ended
from console.tui.screens.tables import TableView
from console.tui.terms import Terms
from console.tui.widgets.page import Entry


class PushScreen(PushFlow, TableView, Carrying):
    """`:push`. Enter opens the node's job, or says why it failed."""

    scope: ClassVar[Scope] = "push"
    columns = COLUMNS
    first_sort = "node"
    noun = "node"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._seen_version = -1
        self._shown: set[str] = set()

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        push = self.context.pushes.nodes.get(view.name)
        return [] if push is None else [push_row(push, production=view.entry.production)]

    def when_empty(self) -> str:
        if not self.context.pushes.nodes:
            return "nothing is being sent: u on :images begins a push"
        return super().when_empty()

    def bring_up_to_date(self) -> None:
        pushes = self.context.pushes
        if not pushes.going_on:
            pushes.seen = True
        if self._seen_version != pushes.version:
            self._seen_version = pushes.version
            self.dirty |= pushes.nodes.keys() | self._shown
            self._shown = set(pushes.nodes)
        super().bring_up_to_date()

    def pushing_line(self) -> str | None:
        pushes = list(self.context.pushes.nodes.values())
        if pushes and not any(push.going_on for push in pushes):
            return f"all have ended: {outcome_words(pushes)}"
        return super().pushing_line()

    def open_row(self, row: Row) -> None:
        push = self.context.pushes.nodes.get(row.group)
        if push is None:
            return
        if push.state.problem is not None:
            self.show_problem(push.state.problem.problem(), about=f"push to {push.node}")
        elif push.state.job is not None:
            self.host.drill(f"job @{push.node} {push.state.job.id}")
        else:
            self.say(f"There is no job on {push.node}.")

    def push_selector(self) -> str:
        return ",".join(f"@{push.node}" for push in self._chosen())

    # stopping, and going on

    def _chosen(self) -> list[NodePush]:
        pushes = self.context.pushes.nodes
        return [pushes[row.group] for row in self.targets() if row.group in pushes]

    def act_push_stop(self) -> None:
        from console.tui.screens.confirm import ConfirmScreen

        chosen = [push for push in self._chosen() if push.going_on]
        if not chosen:
            self.say("Nothing is being sent there.")
            return

        def answered(go: bool | None) -> None:  # noqa: FBT001  # Textual's callback
            if go:
                run_beside(self, partial(self._stop, chosen), group="stop")

        where = chosen[0].node if len(chosen) == 1 else plural(len(chosen), "node")
        entries = [
            Entry("", f"Send no more to {where}?", "accent"),
            Entry("", "What was sent stays there, and the job waits for the rest.", "dim"),
        ]
        question = ConfirmScreen(
            self.context, entries, title="Stop", choice="Stop", keep="Go on", danger=False
        )
        self.app.push_screen(question, answered)

    async def _stop(self, chosen: Sequence[NodePush]) -> None:
        await self.context.pushes.stop([push.node for push in chosen])
        self.bring_up_to_date()
        waiting = [push for push in chosen if _waits(push)]
        if waiting:
            self.call_later(self._offer_to_end, waiting)

    def _offer_to_end(self, waiting: Sequence[NodePush]) -> None:
        """The job goes on waiting on the node: that may be what is wanted, or not."""
        nodes = self.context.fleet.nodes

        def end(push: NodePush) -> Callable[[], Awaitable[str]]:
            async def do() -> str:
                job = push.state.job
                if job is None:
                    return "there is no job"
                job = await self.context.fleet.client(push.node).cancel_job(job.id)
                return f"the job is {state_text(job)}"

            return do

        tasks = [
            Task(
                push.node, nodes[push.node].entry.production, f"the job for {push.file}", end(push)
            )
            for push in waiting
        ]
        about = [
            Entry("", "It waits for the rest on the node: pushing again goes on there."),
            Entry("", "Ended, it gives back the space that it holds; layers stay for a while."),
        ]
        self.give(Order("end", "ending", "job", tasks, about), keep="Let it wait")

    def act_push_again(self) -> None:
        chosen = [push for push in self._chosen() if push.failed]
        if not chosen:
            self.say("There is none that failed or was stopped.")
            return
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        pushes = self.context.pushes
        same = {push.node: push for push in chosen if push.convoy is chosen[0].convoy}
        file = chosen[0].file

        def go(nodes: Sequence[NodeEntry], terms: Terms) -> None:
            pushes.again([same[node.name] for node in nodes], terms, read_when_ended(self))
            self.bring_up_to_date()
            self.say(f"pushing {file} again: what the nodes have is not sent again")

        if pushes.carrier is not None:
            offer = self.offer(
                pushes.carrier,
                chosen[0].archive,
                list(same),
                chosen[0].terms,
                go,
                pushes.helpers_of(chosen[0]),
            )
            self.begin(offer, "asking the nodes ...")


def _waits(push: NodePush) -> bool:
    return push.stopped and push.state.job is not None and push.state.job.state not in ENDED
