"""Which driver each node would need so that images run there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget

from agent.protocol.live import Record
from agent.rules.upgrades import Upgrade
from console.fleet.picture import NodeView
from console.images.runs_words import WORDS, branch_words
from console.text import plural
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.compat import TONES, title_of
from console.tui.rows.drivers import COLUMNS, driver_row
from console.tui.screens.tables import TableView
from console.tui.subjects import Subject
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece
from console.tui.widgets.page import BLANK, Entry

_NAMED = 3


class DriversScreen(TableView):
    """`:drivers SELECTOR`, for the images that were chosen in `:compat`; else for all there are."""

    scope: ClassVar[Scope] = "drivers"
    columns = COLUMNS
    first_sort = "needs"
    noun = "node"

    def __init__(self, context: Context, command: Command) -> None:
        self._plans: dict[str, Upgrade] = {}
        self._by: dict[str, Record] = {}  # the facts that a plan went by
        self._whole = False
        self._working = True
        super().__init__(context, command)
        self._about = Bar(context.look)

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about]

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return [driver_row(view, self._plans.get(view.name), working=self._working)]

    # working it out

    def arrive(self) -> None:
        super().arrive()
        self._begin()

    def _begin(self) -> None:
        run_beside(self, self._work, group="plan", exclusive=True)

    def _views(self) -> list[NodeView]:
        hidden = self.model.hidden_groups
        nodes = self.context.fleet.nodes
        return [view for name, view in nodes.items() if hidden is None or not hidden(name)]

    def _subjects(self) -> list[Subject]:
        compat = self.context.compat
        chosen = [compat.subjects[key] for key in compat.chosen if key in compat.subjects]
        return chosen or list(compat.subjects.values())

    async def _work(self) -> None:
        """In pieces, while keys are taken. Raises ProblemError `compatibility.*`."""
        context, views = self.context, self._views()
        self._working = True
        try:
            if not context.compat.subjects:  # nobody has been to :compat
                await context.shelf.read(context.fleet, [view.name for view in views])
                context.compat.take_images(context.shelf.images)
            await context.compat.ask(context.fleet, self._subjects())
            by = {view.name: record for view in views if (record := _facts_of(view)) is not None}
            plans = await context.compat.plan(views, self._subjects(), whole=self._whole)
            is_first = not self._by
            self._plans, self._by = plans, by
        finally:
            self._working = False
        self._filled = False
        self.bring_up_to_date()
        self.table.bring_up_to_date(reorder=True)
        if is_first:  # until now no row had a place of its own
            self.table.move_to(0)

    def bring_up_to_date(self) -> None:
        nodes = self.context.fleet.nodes
        others = any(
            name in nodes and _facts_of(nodes[name]) != self._by.get(name) for name in self.dirty
        )
        super().bring_up_to_date()
        if others and not self._working:
            self._begin()

    def act_drivers_whole(self) -> None:
        """The least driver with which nothing warns, or the least that runs."""
        self._whole = not self._whole
        self._begin()
        self.show_bars()

    # what is said around it

    def position(self) -> list[Piece]:
        pieces = super().position()
        if self._whole:
            pieces.insert(0, (" without warnings", "warn"))
        if self._working:
            pieces.append((" working it out", "dim"))
        return pieces

    def when_empty(self) -> str:
        return super().when_empty() if self.model.total else "no node here"

    def show_bars(self) -> None:
        super().show_bars()
        self._about.show(self._summary())

    def _summary(self) -> list[Piece]:
        titles = [title_of(each) for each in self._subjects()]
        named = ", ".join(titles[:_NAMED])
        more = len(titles) - _NAMED
        images = f"{named} and {plural(more, 'other')}" if more > 0 else named
        plans = list(self._plans.values())
        need = sum(plan.driver is not None for plan in plans)
        never = sum(plan.driver is None and bool(plan.not_mended) for plan in plans)
        unknown = len(self._views()) - len(plans)
        about: Piece = (f"  for {images or 'no image'}", "accent")
        if self._working:
            return [about]
        pieces: list[Piece] = [(f" {plural(need, 'node')} to upgrade", "warn" if need else "")]
        if never:
            pieces.append((f", {never} that no driver helps", "bad"))
        pieces.append((f", {len(plans) - need - never} fine", "good"))
        if unknown:
            pieces.append((f", {unknown} unknown", "warn"))
        return [*pieces, about]

    def open_row(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog

        view, plan = self.context.fleet.nodes[row.group], self._plans.get(row.group)
        if plan is None:
            why = view.problem.detail if view.problem is not None else view.state
            self.say(f"Nothing is known of {row.group}: {why}", "warn")
            return
        entries = [
            Entry(" driver  ", plan.driver_now or words.UNKNOWN),
            Entry(" needs   ", plan.driver or ("none helps" if plan.not_mended else "no other")),
        ]
        if plan.branch is not None:
            entries.append(Entry(" branch  ", branch_words(plan)))
        if view.state != "live":
            age = words.age(view.age_seconds())
            entries.append(
                Entry("", f"By what the node said {age} ago: it is {view.state}.", "warn")
            )
        entries += [BLANK, *self._images_on(view, plan)]
        self.app.push_screen(TextDialog(self.context, entries, title=f"Driver of {view.name}"))

    def _images_on(self, view: NodeView, plan: Upgrade) -> list[Entry]:
        """How each image fares now, and with that driver."""
        entries = []
        for subject in self._subjects():
            judged = self.context.compat.verdict(subject, view)
            if judged is None:
                entries.append(
                    Entry(f" {title_of(subject)}  ", "what it needs is not known", "warn")
                )
                continue
            now = judged[1].ability
            text = WORDS[now]
            after = plan.after.get(subject.title)
            if after is not None and after != now:
                text += f"; with the driver: {WORDS[after]}"
            if subject.title in plan.not_mended:
                text += f"; no driver mends it: {plan.not_mended[subject.title]}"
            entries.append(Entry(f" {title_of(subject)}  ", text, TONES[after or now], "accent"))
        return entries


def _facts_of(view: NodeView) -> Record | None:
    return view.sections.get("facts", {}).get("")
