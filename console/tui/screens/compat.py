"""Whether images run on nodes: a cell for each image and node, and the reason under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.widget import Widget

from agent.rules.variants import Choice
from console.fleet.picture import NodeView
from console.text import clean, plural
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.compat import COLUMNS, TONES, compat_rows, node_head, title_of
from console.tui.rows.matrix import NodeHead
from console.tui.screens.reading import read_showing
from console.tui.screens.reads_answers import how_old
from console.tui.screens.sideways import Sideways
from console.tui.screens.verdict import SAYS, verdict_entries, whole_entries
from console.tui.subjects import Subject
from console.tui.widgets.bars import Bar
from console.tui.widgets.cell_matrix import CellMatrix
from console.tui.widgets.line import Piece
from console.tui.widgets.page import Entry, Page

_HEIGHTS = ((20, 3), (34, 6))
_HIGHEST = 14


class CompatScreen(Sideways):
    """`:compat SELECTOR /FILTER`. Enter shows all about one image on one node."""

    scope: ClassVar[Scope] = "compat"
    columns = COLUMNS
    first_sort = "image"
    noun = "image"

    def __init__(self, context: Context, command: Command) -> None:
        self._seen = (-1, -1)
        self._only_trouble = False
        self._heads: list[NodeHead] = []
        super().__init__(context, command)
        self.table: CellMatrix = CellMatrix(self.model, context.look, COLUMNS)
        self._about = Bar(context.look)
        self._page = Page(context.look)

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about, self._page]

    def on_resize(self, event: events.Resize) -> None:
        rows = event.size.height
        height = next((height for below, height in _HEIGHTS if rows < below), _HIGHEST)
        self._page.styles.height = height

    # which nodes, which images

    def take_selectors(self, *texts: str) -> None:
        """The first says whose images there are, all of them which nodes are judged."""
        super().take_selectors(*texts)
        self._asked = self.names_picked(*texts[:1])
        self._seen = (-1, -1)

    def _views(self) -> list[NodeView]:
        nodes = self.context.fleet.nodes
        return [nodes[name] for name in self._names if name in nodes]

    def _subjects(self) -> list[Subject]:
        return list(self.context.compat.subjects.values())

    # asking, and working it out

    def arrive(self) -> None:
        super().arrive()
        self.act_compat_read()

    def act_compat_read(self) -> None:
        """Ask the nodes again which images they have, and what those need."""
        shelf, compat, fleet = self.context.shelf, self.context.compat, self.context.fleet

        async def read() -> None:
            await shelf.read(fleet, self._asked)
            self.bring_up_to_date()
            await compat.ask(fleet, self._subjects())
            self.bring_up_to_date()

        run_beside(self, read, group="images", exclusive=True)

    def bring_up_to_date(self) -> None:
        shelf, compat, nodes = self.context.shelf, self.context.compat, self.context.fleet.nodes
        if self._seen[0] != shelf.version:
            compat.take_images(
                {name: shelf.images[name] for name in self._asked if name in shelf.images}
            )
        others = compat.lets_go_of(nodes[name] for name in self.dirty if name in nodes)
        seen = (shelf.version, compat.version)
        if others or seen != self._seen:
            self._seen = seen
            self._work_out()
        self._fill()
        self.dirty.clear()
        if self.is_current:
            self.show_bars()

    def _work_out(self) -> None:
        """How the images fare on the nodes, in pieces, while keys are taken."""

        async def work() -> None:
            if await self.context.compat.work_out(self._views(), self._subjects()):
                self._fill(anew=True)
                if self.is_current:
                    self.show_bars()

        self._fill(anew=True)
        run_beside(self, work, group="judging", exclusive=True)

    def _fill(self, *, anew: bool = False) -> None:
        """Bring the table up to date; nothing is made anew while neither ages nor facts differ."""
        views = self._views()
        heads = [node_head(view) for view in views]
        if anew or heads != self._heads:
            self._heads = heads
            compat, subjects = self.context.compat, self._subjects()
            if self._only_trouble:
                failing = {
                    (subject.key, view.name)
                    for subject in subjects
                    for view in views
                    if compat.fails(subject, view)
                }
                keys, names = {key for key, _ in failing}, {name for _, name in failing}
                subjects = [each for each in subjects if each.key in keys]
                heads = [head for head in heads if head.name in names]
            self.table.take_heads(heads)
            longest = max((len(title_of(each)) for each in subjects), default=0)
            self.table.take_longest(longest)
            self.model.put("", compat_rows(compat, subjects, views, heads))
        self.table.bring_up_to_date()

    def redress(self) -> None:
        self._seen = (-1, -1)
        super().redress()

    # what is under the cursor

    def _here(self) -> tuple[Subject, NodeView] | None:
        row, head = self.table.current, self.table.head
        subject = self.context.compat.subjects.get(row.key) if row is not None else None
        view = self.context.fleet.nodes.get(head.name) if head is not None else None
        return None if subject is None or view is None else (subject, view)

    def show_bars(self) -> None:
        super().show_bars()
        here = self._here()
        self._page.show([] if here is None else self._reasons(*here))
        self._about.show([] if here is None else self._headline(*here), self._more())

    def _headline(self, subject: Subject, view: NodeView) -> list[Piece]:
        judged = self.context.compat.verdict(subject, view)
        pieces = [(f" {title_of(subject)}", "accent"), (" on ", ""), (view.name, "accent")]
        if judged is not None:
            ability = judged[1].ability
            pieces.append((f": {SAYS[ability]}", TONES[ability]))
        if view.state != "live" and (age := view.age_seconds()) is not None:
            pieces.append((f", as of {words.age(age)} ago", "warn"))
        if subject.path is None and view.name not in subject.nodes:
            pieces.append(("  it does not have it", "dim"))
        return pieces

    def _reasons(self, subject: Subject, view: NodeView) -> list[Entry]:
        compat = self.context.compat
        judged = compat.verdict(subject, view)
        if judged is not None:
            best = self._best(view)
            short = f"{best.name or 'none'}, of the marked ones" if best is not None else ""
            entries = verdict_entries(judged[1])
            return [Entry(" best   ", short, "accent"), *entries] if short else entries
        if not view.sections.get("facts"):
            why = view.problem.detail if view.problem is not None else view.state
            return [Entry(" why    ", f"The node never said what it is: {why}", "warn")]
        problem = compat.problem_of(subject, view)
        if problem is not None:
            return [
                Entry(" why    ", problem.detail, "warn"),
                Entry(" do     ", problem.hint or "r asks again", "", "accent"),
            ]
        if subject.path is not None:
            text = "The archive has another image for that CPU, under another name."
            return [Entry(" ", text, "dim")]
        return [Entry(" ", "What the image needs has not been asked yet.", "dim")]

    def _best(self, view: NodeView) -> Choice | None:
        """Of images that are marked as variants of one workload, the one that the node gets."""
        marked = [each for each in self._subjects() if each.key in self.model.marks]
        return self.context.compat.best(marked, view) if len(marked) > 1 else None

    def _more(self) -> list[Piece]:
        page = self._page
        more = page.line_count > page.size.height > 0
        return [(f" {page.size.height} of {page.line_count} lines: Enter ", "dim")] if more else []

    def open_row(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog

        here = self._here()
        if here is None:
            return
        subject, view = here
        judged, facts = self.context.compat.verdict(subject, view), view.facts()
        title = f"{subject.title} on {view.name}"
        if judged is None or facts is None:
            entries = self._reasons(subject, view)
        else:
            judge, verdict = judged
            entries = whole_entries(verdict, judge.needs, facts, why=self._about_it(subject, view))
        self.app.push_screen(TextDialog(self.context, entries, title=title))

    def _about_it(self, subject: Subject, view: NodeView) -> list[Entry]:
        """How old it is, and which image is meant."""
        entries = []
        if view.state != "live":
            age = words.age(view.age_seconds())
            entries.append(
                Entry("", f"By what the node said {age} ago: it is {view.state}.", "warn")
            )
        if subject.path is not None:
            entries.append(Entry("", f"of {subject.path}", "dim"))
        elif len(subject.held) > 1:
            image = subject.on(view.name, "").digest
            text = f"{subject.title} is {len(subject.held)} different images; this is {image}."
            entries.append(Entry("", text, "warn"))
        best = self._best(view)
        if best is not None:
            entries.append(Entry("Best of the marked ones: ", best.why, "", "accent"))
        return entries

    # what is shown

    def act_compat_trouble(self) -> None:
        self._show_trouble(only=not self._only_trouble)

    def _show_trouble(self, *, only: bool) -> None:
        self._only_trouble = only
        self._fill(anew=True)
        self.show_bars()

    def act_back(self) -> None:
        narrowed = self.model.filter.text or self._labels or self.model.marks
        if self._only_trouble and not narrowed and not self.is_working:
            self._show_trouble(only=False)
        else:
            super().act_back()

    def when_empty(self) -> str:
        shelf = self.context.shelf
        if shelf.reading and not self.model.total:
            return "asking the nodes ..."
        if self._only_trouble and self.context.compat.subjects and not self.model.filter.text:
            return "no image is known to be unable to run here: d shows all"
        if not self.model.total:
            return "no node here has an image with a name: a adds an archive"
        return super().when_empty()

    def position(self) -> list[Piece]:
        pieces = super().position()
        if self._only_trouble:
            pieces.insert(0, (" cannot run", "warn"))
        return [*pieces, *how_old(self.context.shelf, self._asked), *self.columns_seen()]

    # archives of this machine

    def act_compat_add(self) -> None:
        """Judge the images of an archive, too."""
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        from console.tui.screens.choosing import ChooseArchive

        pushes = self.context.pushes

        def chosen(path: Path | None) -> None:
            if path is not None:
                pushes.folder = str(path.parent)
                self.begin(self._add(path), f"reading {clean(path.name)} ...")

        self.app.push_screen(ChooseArchive(self.context, pushes.folder), chosen)

    async def _add(self, path: Path) -> None:
        compat = self.context.compat
        tables = await compat.tables()
        judge = await read_showing(
            self.footer, clean(path.name), lambda heard: compat.looking.look(path, tables, heard)
        )
        found = compat.take_archive(path, judge)
        self.bring_up_to_date()
        keys = [row.key for row in self.model.shown]
        if found and found[0].key in keys:
            self.table.move_to(keys.index(found[0].key))

    def act_compat_forget(self) -> None:
        """Leave an archive out again."""
        compat = self.context.compat
        found = [compat.subjects.get(row.key) for row in self.targets()]
        archived = [each for each in found if each is not None and each.path is not None]
        if not archived:
            self.say("Only archives that were added can be left out.")
            return
        for subject in archived:
            compat.forget(subject)
        self.model.marks -= {subject.key for subject in archived}
        self.bring_up_to_date()
        self.say(f"{plural(len({each.path for each in archived}), 'archive')} left out.")

    def act_compat_inside(self) -> None:
        """Have nodes look at files of the images."""
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        compat = self.context.compat
        found = [compat.subjects.get(row.key) for row in self.targets()]
        held = [each for each in found if each is not None and each.held]
        if not held:
            self.say("An archive has been looked into already.")
            return
        self.begin(self._look_inside(held), f"looking inside {plural(len(held), 'image')} ...")

    async def _look_inside(self, subjects: Iterable[Subject]) -> None:
        subjects = list(subjects)
        compat = self.context.compat
        await compat.ask(self.context.fleet, subjects, inside=True)
        self.bring_up_to_date()
        needs = [compat.needs_of(subject) for subject in subjects]
        lacking = [each for each in needs if each is None or not each.looked_inside]
        if lacking:
            told = [*(lacking[0].unknown.values() if lacking[0] is not None else ()), "no answer"]
            self.call_later(self.say, f"Not looked inside {len(lacking)}: {told[0]}", "warn")

    def act_drivers(self) -> None:
        """Which driver the nodes would need for the marked images, or for this one."""
        keys = [row.key for row in self.targets()]
        if not keys:
            self.say("There is no image to ask for.")
            return
        self.context.compat.chosen = keys
        selector = ",".join(part for part in (self.selector, self._labels) if part)
        self.host.drill(f"drivers {selector}".strip())
