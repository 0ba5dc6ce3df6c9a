"""A rollout's nodes, wave beside wave. Draws only the lines in which something differs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.tui.look.look import Look
from console.tui.rows.waves import Block, Layout, Wave, WaveCell, lay_out_waves
from console.tui.widgets.line import Piece, draw, fit

HEAD = 2  # lines over the nodes


class WaveGrid(Widget, can_focus=True):
    """The cursor stays on its node by name. Waves scroll sideways where there are many."""

    DEFAULT_CSS = "WaveGrid { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """The cursor is on another node, or other waves can be seen."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, WaveGrid.Moved)

    class Chosen(Message):
        """A node was double-clicked."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.empty = "reading the journal ..."
        self.cursor = 0
        self.left = 0
        """The first column of cells that can be seen."""
        self._waves: Sequence[Wave] = ()
        self._cells: list[WaveCell] = []
        self._laid_out: tuple[int, int] = (0, 0)
        self._layout = Layout(1, 1, named=False, blocks=())

    @property
    def cells(self) -> Sequence[WaveCell]:
        """All nodes, wave by wave."""
        return self._cells

    @property
    def current(self) -> WaveCell | None:
        """The node under the cursor."""
        return self._cells[self.cursor] if self.cursor < len(self._cells) else None

    @property
    def seen(self) -> tuple[int, int]:
        """The first wave of which something can be seen, and the one after the last."""
        blocks, right = self.plan.blocks, self.left + self.size.width
        found = [
            i for i, each in enumerate(blocks) if self.left < each.left + each.width <= right
            or self.left <= each.left < right
        ]  # fmt: skip
        return (found[0], found[-1] + 1) if found else (0, 0)

    @property
    def plan(self) -> Layout:
        """Where everything is."""
        size = (self.size.width, self.size.height)
        if size != self._laid_out:
            self._laid_out = size
            self._layout = lay_out_waves(self._waves, size[0] - 1, size[1] - HEAD)
        return self._layout

    def lines_for(self, most: int) -> int:
        """How many lines it would take of at most so many: none stays empty."""
        return min(most, HEAD + max((len(wave.cells) for wave in self._waves), default=1))

    def take(self, waves: Sequence[Wave]) -> None:
        """Other nodes, or another state of them."""
        if waves == self._waves:
            return
        here = self.current
        before, self._waves = self._waves, waves
        old, self._cells = self._cells, [cell for wave in waves for cell in wave.cells]
        same = [cell.name for cell in old] == [cell.name for cell in self._cells]
        if not same:
            names = [cell.name for cell in self._cells]
            self.cursor = names.index(here.name) if here and here.name in names else 0
        layout = lay_out_waves(waves, self.size.width - 1, self.size.height - HEAD)
        if not same or layout != self._layout:
            self._layout, self._laid_out = layout, (self.size.width, self.size.height)
            self._show_cursor()
            self.refresh()
        else:
            self._refresh_changed(before, old)
        if not same:
            self.post_message(self.Moved())

    def _refresh_changed(self, before: Sequence[Wave], old: Sequence[WaveCell]) -> None:
        rows = self._layout.rows
        lines: set[int] = set()
        for was, block, wave in zip(before, self._layout.blocks, self._waves, strict=True):
            if (was.told, was.here) != (wave.told, wave.here):
                lines |= {0, 1}
            for number in range(block.nodes):
                if old[block.first + number] != wave.cells[number]:
                    lines.add(HEAD + number % rows)
        for y in lines:
            self.refresh(Region(0, y, self.size.width, 1))

    # the cursor

    def move(self, rows: int) -> None:
        """To the node before, or after."""
        self.go_to(self.cursor + rows)

    def move_sideways(self, columns: int) -> None:
        """To the next column, of this wave or the next one."""
        if self._cells:
            self.go_to(self.plan.beside(self.cursor, columns))

    def move_wave(self, waves: int) -> None:
        """To the beginning of another wave."""
        blocks = self.plan.blocks
        if blocks:
            at = max(0, min(self.plan.block_of(self.cursor) + waves, len(blocks) - 1))
            self.go_to(blocks[at].first)

    def show_wave(self, number: int) -> None:
        """To the beginning of that wave, counted from 0."""
        blocks = self.plan.blocks
        if number < len(blocks):
            self.go_to(blocks[number].first)

    def go_to(self, number: int) -> None:
        """Put the cursor on a node; the nearest one if there are fewer."""
        number = max(0, min(number, len(self._cells) - 1))
        if number == self.cursor:
            return
        before, left = self.cursor, self.left
        self.cursor = number
        self._show_cursor()
        if self.left != left:
            self.refresh()
        else:
            for each in (before, number):
                self.refresh(Region(0, HEAD + self.plan.place(each)[1], self.size.width, 1))
        self.post_message(self.Moved())

    def _show_cursor(self) -> None:
        """Scroll as little as is needed; a wave's first column brings its head with it."""
        plan = self.plan
        if not self._cells:
            self.left = 0
            return
        column, _ = plan.place(self.cursor)
        block = plan.blocks[plan.block_of(self.cursor)]
        room = self.size.width - 1
        end = column + plan.cell
        if column == block.left and block.width <= room:
            end = block.left + block.width
        if end > self.left + room:
            self.left = end - room
        self.left = max(0, min(self.left, column))

    def on_resize(self, event: events.Resize) -> None:
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    # drawing

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        if not self._cells:
            return draw([(f" {self.empty}" if y == 0 else "", "dim")], width, self.look, base=base)
        pieces: list[Piece] = []
        at = self.left  # the next column of cells
        for wave, block in zip(self._waves, self.plan.blocks, strict=True):
            if block.left + block.width <= self.left or block.left >= self.left + width:
                continue
            parts = self._head(wave, block, y) if y < HEAD else self._row(wave, block, y)
            for left, text, tone in parts:
                column = block.left + left
                if column >= at:
                    pieces += [(" " * (column - at), ""), (text, tone)]
                    at = column + cell_len(text)
        return draw(pieces, width, self.look, base=base)

    def _head(self, wave: Wave, block: Block, y: int) -> list[tuple[int, str, str]]:
        """It stays in sight as long as any of its wave does."""
        gone = max(0, self.left - block.left)
        here = f"{wave.title} *" if wave.here else wave.title
        text = fit(f" {here if y == 0 else wave.told}", block.width - gone, self.look)
        return [(gone, text, "title" if wave.here or y == 0 else "dim")]

    def _row(self, wave: Wave, block: Block, y: int) -> list[tuple[int, str, str]]:
        plan, row = self.plan, y - HEAD
        found = []
        for column in range(block.columns):
            number = column * plan.rows + row
            if row >= plan.rows or number >= block.nodes:
                break
            cell = wave.cells[number]
            here = block.first + number == self.cursor
            sign = self.look.glyphs.cursor if here else " "
            text = f"{cell.mark} {cell.name}" if plan.named else cell.mark
            whole = sign + fit(
                text, plan.cell - 1, self.look, cut="middle" if plan.named else "end"
            )
            found.append((column * plan.cell, whole, "cursor" if here else cell.tone))
        return found

    # the mouse

    def on_click(self, event: events.Click) -> None:
        row, x = event.y - HEAD, event.x + self.left
        for block in self.plan.blocks:
            column = (x - block.left) // self.plan.cell
            number = column * self.plan.rows + row
            inside = 0 <= column < block.columns and 0 <= row < self.plan.rows
            if inside and number < block.nodes:
                self.go_to(block.first + number)
                if event.chain > 1:
                    self.post_message(self.Chosen())
