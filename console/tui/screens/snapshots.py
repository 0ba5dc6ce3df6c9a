"""The snapshots of this console's folder: take one, see what changed since, bring a node back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from console.snapshots.folder import SUFFIX
from console.snapshots.restoring import Restore
from console.snapshots.taking import Wanted
from console.text import clean
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command, complete
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.snapshots import COLUMNS, snapshot_rows
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.screens.lists import ListView
from console.tui.snapshots import Listed
from console.tui.widgets.line import Piece
from console.tui.widgets.page import BLANK, Entry
from console.tui.widgets.question import Question

_MARKS = {"remove": "bad", "note": "warn"}


class SnapshotsScreen(Carrying, ListView):
    """`:snapshots /FILTER`. Enter shows what changed since on the node that it is of."""

    scope: ClassVar[Scope] = "snapshots"
    columns = COLUMNS
    noun = "snapshot"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._listed: Sequence[Listed] | None = None

    def listed(self) -> Iterable[Row]:
        return snapshot_rows(self._listed or [])

    def arrive(self) -> None:
        super().arrive()
        self.act_snapshot_read()

    def act_snapshot_read(self) -> None:
        """Read the folder again."""

        async def read() -> None:
            self._listed = await self.context.snapshots.listed()
            if self.is_current:
                self.bring_up_to_date()

        run_beside(self, read, group="snapshots", exclusive=True)

    def about_row(self) -> list[Piece]:
        listed = self._current()
        if listed is None:
            return [(f" {self.context.snapshots.folder}", "dim")]
        if listed.problem is not None:
            return [(f" {clean(listed.problem.detail)}", "bad")]
        return [(f" {clean(str(listed.path))}", "dim")]

    def when_empty(self) -> str:
        if self._listed is None:
            return "reading the folder ..."
        if not self.model.total:
            return "no snapshot yet: t takes one"
        return super().when_empty()

    def open_row(self, row: Row) -> None:
        self.act_snapshot_diff()

    # what is done

    def act_snapshot_take(self) -> None:
        self._ask_node("snapshot of node: ", "", self._take)

    def act_snapshot_diff(self) -> None:
        listed = self._readable()
        if listed is None:
            return
        of = listed.snapshot.node if listed.snapshot else ""

        def chosen(node: str) -> None:
            self.host.drill(f"changes @{node} {listed.path.name}")

        if of in self.context.fleet.nodes:
            chosen(of)
        else:
            self._ask_node("compare with node: ", of, chosen)

    def act_snapshot_restore(self) -> None:
        listed = self._readable()
        if listed is not None:
            of = listed.snapshot.node if listed.snapshot else ""
            self._ask_node("restore onto node: ", of, lambda node: self._plan(listed.path, node))

    def _take(self, node: str) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        file = self.context.snapshots.folder / f"{node}-{stamp}{SUFFIX}"

        async def work() -> None:
            await self.context.snapshots.take(node, file, Wanted())
            self.say(f"{file.name} is taken, without images", "good")
            self.act_snapshot_read()

        self.begin(work(), f"taking a snapshot of {node} ...")

    def _plan(self, file: Path, node: str) -> None:
        async def work() -> None:
            restore = await self.context.snapshots.prepare(file, node)
            self.call_later(self._show_plan, file, node, restore)

        self.begin(work(), f"planning with {node} ...")

    def _show_plan(self, file: Path, node: str, restore: Restore) -> None:
        entries = plan_entries(restore)
        if restore.plan.problems and restore.under_way is None:
            from console.tui.screens.dialog import TextDialog

            title = f"{node} cannot be restored to {file.name}"
            self.app.push_screen(TextDialog(self.context, entries, title=title))
            return

        async def do() -> str:
            restored = await self.context.snapshots.restore(
                node, restore, lambda job: self.footer.progress(f"{node}: {job.stage or job.state}")
            )
            self.act_snapshot_read()
            undo = restore.plan.undo
            kept = f"; how it was: {Path(undo).name}" if undo else ""
            but = ", but not all is as it says: Enter shows it" if restored.differs else ""
            return f"{file.name} is restored (job {restored.job.id}){but}{kept}"

        view = self.context.fleet.nodes[node]
        task = Task(node, view.entry.production, file.name, do)
        self.give(Order("restore", "restoring", "snapshot", [task], entries))

    def _ask_node(self, text: str, first: str, chosen: Callable[[str], None]) -> None:
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        nodes = sorted(self.context.fleet.nodes)

        def answered(name: str | None) -> None:
            name = (name or "").strip().removeprefix("@")
            if name in self.context.fleet.nodes:
                chosen(name)
            elif name:
                self.say(f"There is no node {clean(name)[:40]}.", "warn")

        self.ask(
            Question(
                text,
                answered,
                complete=lambda typed: complete(f"node {typed}", nodes).removeprefix("node "),
                text=first if first in nodes else "",
            )
        )

    def _current(self) -> Listed | None:
        row = self.table.current
        found = (each for each in self._listed or () if row and str(each.path) == row.key)
        return next(found, None)

    def _readable(self) -> Listed | None:
        listed = self._current()
        if listed is not None and listed.problem is not None:
            self.show_problem(listed.problem)
            return None
        return listed


def plan_entries(restore: Restore) -> list[Entry]:
    """The plan: what stands in the way first, then step by step."""
    plan = restore.plan
    entries = [Entry("CANNOT ", problem.detail, "bad") for problem in plan.problems]
    entries += [Entry("  hint ", problem.hint) for problem in plan.problems if problem.hint]
    if restore.under_way is not None:
        job = restore.under_way.id
        entries.append(Entry("", f"Job {job} is at it already: it goes on.", "accent"))
    if entries:
        entries.append(BLANK)
    entries += [
        Entry(f"{line.step:7}", line.text, _MARKS.get(line.step, "")) for line in plan.lines
    ]
    if not plan.lines:
        entries.append(Entry("", "nothing to do", "dim"))
    return entries
