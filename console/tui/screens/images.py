"""Images across the fleet: which node has what, and which names mean different images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar, Literal

from textual.widget import Widget

from console.images.matrix import ImageLine, by_name, lines_of
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.images import image_on
from console.tui.rows.matrix import IMAGE_COLUMNS, about_line, matrix_rows, node_head
from console.tui.screens.image_actions import ImageActions
from console.tui.screens.import_flow import ImportFlow
from console.tui.screens.push_flow import PushFlow
from console.tui.screens.reads_answers import how_old
from console.tui.screens.sideways import Sideways
from console.tui.screens.tables import TableView
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece
from console.tui.widgets.matrix import MatrixTable

Shown = Literal["all", "other", "uneven"]
_NEXT: dict[Shown, Shown] = {"all": "other", "other": "uneven", "uneven": "all"}
_WORDS: dict[Shown, str] = {
    "all": "",
    "other": "differing",
    "uneven": "uneven",
}


class ReadsImages(ImageActions, PushFlow, ImportFlow, TableView):
    """What both screens about images share: nodes are asked on opening and when asked to."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._seen_version = -1

    def node_names(self) -> Sequence[str]:
        """The nodes that are asked."""
        raise NotImplementedError

    def fill(self, changed: AbstractSet[str] | None) -> None:
        """Put what the shelf has into the table. `changed`: only these nodes differ, and not in
        what they have; None: anything may."""
        raise NotImplementedError

    def arrive(self) -> None:
        super().arrive()
        self.act_images_read()

    def act_images_read(self) -> None:
        """Ask the nodes again."""
        shelf = self.context.shelf

        async def read() -> None:
            await shelf.read(self.context.fleet, self.node_names())
            self.bring_up_to_date()

        run_beside(self, read, group="images", exclusive=True)

    def nodes_read(self) -> None:
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        version = self.context.shelf.version
        self.fill(self.dirty if self._seen_version == version else None)
        self._seen_version = version
        self.table.bring_up_to_date()
        self.dirty.clear()
        if self.is_current:
            self.show_bars()

    def redress(self) -> None:
        self._seen_version = -1
        super().redress()

    def when_empty(self) -> str:
        shelf, names = self.context.shelf, self.node_names()
        if shelf.reading and not any(name in shelf.images for name in names):
            return "asking the nodes ..."
        return super().when_empty()

    def position(self) -> list[Piece]:
        return [*super().position(), *how_old(self.context.shelf, self.node_names())]


class ImagesScreen(Sideways, ReadsImages):
    """`:images SELECTOR /FILTER`: a column for each node. Enter shows one image node by node."""

    scope: ClassVar[Scope] = "images"
    columns = IMAGE_COLUMNS
    first_sort = "image"
    noun = "image"

    def __init__(self, context: Context, command: Command) -> None:
        self._lines: dict[str, ImageLine] = {}
        self._shown_ones: Shown = "all"
        super().__init__(context, command)
        self.table: MatrixTable = MatrixTable(self.model, context.look)
        self._about = Bar(context.look)

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about]

    def node_names(self) -> Sequence[str]:
        return self._names

    def take_selectors(self, *texts: str) -> None:
        super().take_selectors(*texts)
        self._seen_version = -1

    def fill(self, changed: AbstractSet[str] | None) -> None:
        shelf, nodes = self.context.shelf, self.context.fleet.nodes
        heads = [node_head(nodes[name], shelf) for name in self._names if name in nodes]
        if changed is not None and heads == self.table.heads:
            return
        if changed is None:
            lines = lines_of(by_name({h.name: shelf.images[h.name] for h in heads if h.answered}))
            self._lines = {line.key: line for line in lines}
        self.table.take_heads(heads)
        answered = sum(head.answered for head in heads)
        chosen = [line for line in self._lines.values() if self._is_shown(line, answered)]
        self.table.take_longest(max((len(line.tag) for line in chosen), default=0))
        self.model.put("", matrix_rows(chosen, heads, self.context.look.glyphs))

    # which images

    def _is_shown(self, line: ImageLine, answered: int) -> bool:
        if self._shown_ones == "all" or line.differs:
            return True
        return self._shown_ones == "uneven" and len(line.on) < answered

    def act_images_differing(self) -> None:
        self._show_ones(_NEXT[self._shown_ones])

    def _show_ones(self, ones: Shown) -> None:
        self._shown_ones = ones
        self._seen_version = -1
        self.bring_up_to_date()

    def act_compat(self) -> None:
        self.host.drill(f"compat {self.push_selector()}".strip())

    def act_back(self) -> None:
        narrowed = self.model.filter.text or self._labels or self.model.marks
        if self._shown_ones == "all" or narrowed or self.is_working:
            super().act_back()
        else:
            self._show_ones("all")

    def when_empty(self) -> str:
        if self._shown_ones != "all" and self._lines and not self.model.filter.text:
            return f"no image is {_WORDS[self._shown_ones]}: d shows others"
        return super().when_empty()

    def position(self) -> list[Piece]:
        pieces = super().position()
        if self._shown_ones != "all":
            pieces.insert(0, (f" {_WORDS[self._shown_ones]}", "warn"))
        return [*pieces, *self.columns_seen()]

    def show_bars(self) -> None:
        super().show_bars()
        row = self.table.current
        line = self._lines.get(row.key) if row is not None else None
        glyphs = self.context.look.glyphs
        self._about.show([] if line is None else about_line(line, self.table.heads, glyphs))

    def open_row(self, row: Row) -> None:
        self.host.drill(f"image {row.key}")

    def image_to_tag(self) -> str | None:
        row = self.table.current
        return row.key if row is not None else None

    def images_by_node(self) -> Mapping[str, Sequence[str]]:
        shelf = self.context.shelf
        keys = [row.key for row in self.targets()]
        chosen = {
            name: [key for key in keys if image_on(shelf, name, key) is not None]
            for name in self._names
        }
        return {name: images for name, images in chosen.items() if images}

    def push_selector(self) -> str:
        return ",".join(part for part in (self.selector, self._labels) if part)

    def import_node(self) -> str | None:
        return self._names[0] if len(self._names) == 1 else None
