"""A table that draws only the rows that can be seen, one style per run of cells.

Textual's own DataTable measures every cell of every new row (250 ms for 1,000 rows of 12 cells
on 2 cores) and draws each cell as a table of its own (30 ms a frame at 80x24). Filtering a fleet
of 1,000 nodes while they are live must not be felt, so this is a plain Line-API widget.
"""

from __future__ import annotations

import time

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.tui.look.look import Look
from console.tui.rows.cells import Column, Row, lay_out
from console.tui.rows.model import TableModel
from console.tui.widgets.line import Cut, Piece, draw, fit

_REORDER_SECONDS = 3.0
_WHEEL_ROWS = 3
# Columns of names: these differ at their ends, so they are cut in the middle.
_NAMES = frozenset({"name", "node"})


class RowTable(Widget, can_focus=True):
    """Shows a TableModel. The cursor stays on its row by key, wherever the row moves."""

    DEFAULT_CSS = "RowTable { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """The cursor is on another row, or other rows can be seen."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowTable.Moved)

    class Chosen(Message):
        """A row was double-clicked."""

    class HeaderClicked(Message):
        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(
        self,
        model: TableModel,
        look: Look,
        *,
        empty: str = "nothing here",
        keep_cursor: bool = False,
    ) -> None:
        """`keep_cursor` shows the cursor without the focus too."""
        super().__init__()
        self.keep_cursor = keep_cursor
        self.model = model
        self.look = look
        self.empty = empty
        """What is said where there is no row."""
        self.top = 0
        self.cursor = 0
        self._cursor_key: str | None = None
        self._laid_out: tuple[int, tuple[Column, ...], list[tuple[int, int]]] = (0, (), [])
        self._drawn: dict[int, tuple[Row, bool, bool]] = {}
        self._ordered_at = 0.0
        self._tags = True
        self._anchor: str | None = None  # the last mark, where a range begins

    # what is shown

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        shown = self.model.shown
        return shown[self.cursor] if 0 <= self.cursor < len(shown) else None

    @property
    def body_height(self) -> int:
        return max(1, self.size.height - self.header_height)

    @property
    def header_height(self) -> int:
        """Lines over the rows."""
        return 1

    @property
    def _layout(self) -> list[tuple[int, int]]:
        """Columns and their widths. Textual draws the first time before it tells the size."""
        columns, width = self.model.columns, self.size.width
        if self._laid_out[0] != width or self._laid_out[1] is not columns:
            self._laid_out = (width, columns, lay_out(columns, width))
        return self._laid_out[2]

    def say_when_empty(self, text: str) -> None:
        """What stands where there is no row."""
        if text != self.empty:
            self.empty = text
            if not self.model.shown:
                self.refresh()

    def show_tags(self, *, shown: bool) -> None:
        """Whether rows say that they are production; a frame around all of them says it too."""
        self._tags = shown
        self.refresh()

    def width_of(self, column: str) -> int:
        """Cells that a column has; 0 while it is not shown."""
        return next((w for i, w in self._layout if self.model.columns[i].id == column), 0)

    def bring_up_to_date(self, *, reorder: bool | None = None) -> None:
        """Show what the model holds. Rows are put in order again at most every 3 s, unless
        `reorder` says."""
        now = time.monotonic()
        if reorder is None:
            reorder = self.model.wants_order and now - self._ordered_at >= _REORDER_SECONDS
        if reorder:
            self._ordered_at = now
        moved = self.model.settle(reorder=reorder)
        if moved:
            self._follow_cursor()
            self.refresh()
            self.post_message(self.Moved())
        else:
            self._refresh_changed_lines()

    def take_columns(self, model: TableModel) -> None:
        """Show another model, from its top."""
        self.model = model
        self.top = self.cursor = 0
        self._cursor_key = None
        self.bring_up_to_date(reorder=True)
        self.refresh()
        self.post_message(self.Moved())

    def redress(self) -> None:
        """Draw everything again, after another theme."""
        self._drawn.clear()
        self.refresh()

    def _follow_cursor(self) -> None:
        """After rows moved: the cursor goes with its row, at the same height of the screen."""
        shown = self.model.shown
        height = self.cursor - self.top
        if self._cursor_key is not None:
            for index, row in enumerate(shown):
                if row.key == self._cursor_key:
                    self.cursor = index
                    break
        self.cursor = max(0, min(self.cursor, len(shown) - 1))
        self.top = self.cursor - height
        self._clamp_top()
        here = self.current
        if here is not None and self._cursor_key is None:
            self._cursor_key = here.key

    def _clamp_top(self) -> None:
        body = self.body_height
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + body:
            self.top = self.cursor - body + 1
        self.top = max(0, min(self.top, len(self.model.shown) - body))

    # the cursor and marks

    def move_to(self, index: int) -> None:
        """Put the cursor on a row; the nearest one if there are fewer."""
        index = max(0, min(index, len(self.model.shown) - 1))
        old_top, old = self.top, self.cursor
        self.cursor = index
        self._cursor_key = row.key if (row := self.current) else None
        self._clamp_top()
        if self.top != old_top:
            self.refresh()
        elif index != old:
            self._refresh_line(old)
            self._refresh_line(index)
        if (self.top, index) != (old_top, old):
            self.post_message(self.Moved())

    def show_from(self, top: int) -> None:
        """Begin with this row, as far as the cursor stays in sight."""
        self.top = top
        self._clamp_top()
        self.refresh()
        self.post_message(self.Moved())

    def toggle_mark(self) -> None:
        """Mark the current row and go down one."""
        if (row := self.current) is None:
            return
        self.model.marks ^= {row.key}
        self._anchor = row.key
        self._refresh_line(self.cursor)
        self.move_to(self.cursor + 1)

    def mark_shown(self) -> None:
        """Mark all that is shown; if all of it is marked, nothing."""
        keys = {row.key for row in self.model.shown}
        if keys <= self.model.marks:
            self.model.marks.clear()
        else:
            self.model.marks |= keys
        self.refresh()
        self.post_message(self.Moved())

    def mark_range(self) -> None:
        """Mark from the last mark to the cursor."""
        shown = self.model.shown
        start = next((i for i, row in enumerate(shown) if row.key == self._anchor), self.cursor)
        first, last = sorted((start, self.cursor))
        self.model.marks |= {row.key for row in shown[first : last + 1]}
        self.refresh()

    # drawing

    def _refresh_line(self, index: int) -> None:
        y = index - self.top + self.header_height
        if self.header_height <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _refresh_changed_lines(self) -> None:
        shown = self.model.shown
        for index in range(self.top, min(self.top + self.body_height, len(shown))):
            drawn = self._drawn.get(index)
            if drawn is None or drawn[0] != shown[index]:
                self._refresh_line(index)

    def on_resize(self, event: events.Resize) -> None:
        self._clamp_top()
        self._drawn.clear()
        self.refresh()
        self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        head = self.header_height
        if y < head:
            return draw(self._header(y), width, self.look, base=base, fill="title")
        index = self.top + y - head
        if index >= len(self.model.shown):
            text = f" {self.empty}" if y == head and not self.model.shown else ""
            return draw([(text, "dim")], width, self.look, base=base)
        row = self.model.shown[index]
        marked = row.key in self.model.marks
        here = index == self.cursor and (self.has_focus or self.keep_cursor)
        self._drawn[index] = (row, marked, here)
        return self._row_strip(row, width, base, marked=marked, here=here)

    def _row_strip(self, row: Row, width: int, base: Style, *, marked: bool, here: bool) -> Strip:
        ground = "cursor" if here else row.tone
        sign = self.look.glyphs.mark if marked else self.look.glyphs.cursor if here else " "
        pieces: list[Piece] = [(sign, ground)]
        for position, (index, cell_width) in enumerate(self._layout):
            if position:
                pieces.append((" ", ground))
            cell = row.cells[index]
            tag = cell.tag if self._tags else ""
            room = cell_width - (len(tag) + 1 if tag else 0)
            text = cell.text
            if cell.wide is not None and len(cell.wide) <= room:
                text = cell.wide
            column = self.model.columns[index]
            right, cut = column.align == "right", self.cut_of(column)
            tone = ground if here else cell.tone or ground
            pieces.append((fit(text, room, self.look, right=right, cut=cut), tone))
            if tag:
                pieces.append((" ", ground))
                pieces.append((tag, "production"))
        return draw(pieces, width, self.look, base=base, fill=ground)

    def cut_of(self, column: Column) -> Cut:
        """Which part of a text goes that is too long for the column."""
        return "middle" if column.id in _NAMES else "end"

    def _header(self, y: int) -> list[Piece]:
        """The line `y` of the head; the last one has the columns' titles."""
        pieces: list[Piece] = [(" ", "title")]
        for position, (index, width) in enumerate(self._layout):
            if position:
                pieces.append((" ", "title"))
            column = self.model.columns[index]
            title = self.with_sort_sign(column, column.title, width)
            pieces.append((fit(title, width, self.look, right=column.align == "right"), "title"))
        return pieces

    def with_sort_sign(self, column: Column, title: str, width: int) -> str:
        """A column's title, and which way it is sorted."""
        if column.id != self.model.sort_column:
            return title
        glyphs = self.look.glyphs
        sign = glyphs.sort_down if self.model.reverse else glyphs.sort_up
        return title[: max(0, width - 1)] + sign

    # the mouse

    def on_click(self, event: events.Click) -> None:
        if event.y < self.header_height:
            x = 1
            for index, width in self._layout:
                if x <= event.x < x + width:
                    self.post_message(self.HeaderClicked(self.model.columns[index].id))
                x += width + 1
            return
        index = self.top + event.y - self.header_height
        if index < len(self.model.shown):
            self.move_to(index)
            if event.chain > 1:
                self.post_message(self.Chosen())

    def on_mouse_scroll_down(self) -> None:
        self.move_to(self.cursor + _WHEEL_ROWS)

    def on_mouse_scroll_up(self) -> None:
        self.move_to(self.cursor - _WHEEL_ROWS)

    # Called by the bindings of the screen: keys work wherever the focus is.

    def page(self, pages: int) -> None:
        self.move_to(self.cursor + pages * self.body_height)
