"""A rollout's waves as columns of cells, one for each node, and where each of them stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.rollouts.record import UNTOUCHED, Rollout
from console.tui.look.glyphs import Glyphs
from console.tui.rows.stages import STAGES, mark_of

_LONGEST_NAME = 18
_GAP = 2  # between waves
_LEAST = 9  # "wave 12 *"


class WaveCell(NamedTuple):
    """A node: `mark` is its sign, its letter and its weight."""

    name: str
    mark: str
    tone: str


class Wave(NamedTuple):
    """What stands over a wave, and its nodes."""

    title: str
    told: str
    here: bool  # it is under way
    cells: tuple[WaveCell, ...]


class Block(NamedTuple):
    """Where a wave is."""

    left: int  # in cells of the terminal
    width: int
    first: int  # its first node's number
    nodes: int
    columns: int  # of nodes


class Layout(NamedTuple):
    """`rows` nodes stand under each other, then the next column of the same wave begins."""

    rows: int
    cell: int  # with the blank before it
    named: bool
    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """All of it; more than the terminal's where it scrolls."""
        last = self.blocks[-1] if self.blocks else None
        return last.left + last.width if last is not None else 0

    def block_of(self, number: int) -> int:
        """Which wave the node with that number is in."""
        found = (i for i, each in enumerate(self.blocks) if number < each.first + each.nodes)
        return next(found, max(0, len(self.blocks) - 1))

    def place(self, number: int) -> tuple[int, int]:
        """Its column, in cells, and its row."""
        block = self.blocks[self.block_of(number)]
        column, row = divmod(number - block.first, self.rows)
        return block.left + column * self.cell, row

    def beside(self, number: int, step: int) -> int:
        """The node in the next column (1), or the one before (-1), as near as there is one."""
        at = self.block_of(number)
        block = self.blocks[at]
        column, row = divmod(number - block.first, self.rows)
        column += step
        if not 0 <= column < block.columns:
            if not 0 <= at + step < len(self.blocks):
                return number
            block = self.blocks[at + step]
            column = 0 if step > 0 else block.columns - 1
        return block.first + min(column * self.rows + row, block.nodes - 1)


def waves_of(rollout: Rollout, glyphs: Glyphs) -> list[Wave]:
    """In order; what cannot take it stands in the last."""
    cells: list[list[WaveCell]] = [[] for _ in range(rollout.waves)]
    done, begun = [0] * rollout.waves, [0] * rollout.waves
    for node in rollout.nodes:
        look = STAGES[node.stage]
        cells[node.wave].append(WaveCell(node.name, mark_of(node, glyphs), look.tone))
        done[node.wave] += node.stage == "done"
        begun[node.wave] += node.stage not in UNTOUCHED
    moving = rollout.state in ("running", "gate", "paused")
    return [
        Wave(
            f"wave {number + 1}",
            f"{done[number]}/{len(each)} done" if begun[number] else f"{len(each)}",
            moving and number == rollout.wave,
            tuple(each),
        )
        for number, each in enumerate(cells)
    ]


def lay_out_waves(waves: Sequence[Wave], width: int, rows: int) -> Layout:
    """With names where they fit, or where no wave needs more than one column; else without."""
    rows = max(1, rows)
    marks = max((len(cell.mark) for wave in waves for cell in wave.cells), default=2)
    names = max((len(cell.name) for wave in waves for cell in wave.cells), default=1)
    named = _laid_out(waves, rows, 1 + marks + 1 + min(names, _LONGEST_NAME), named=True)
    if named.width <= width or all(len(wave.cells) <= rows for wave in waves):
        return named
    return _laid_out(waves, rows, 1 + marks, named=False)


def _laid_out(waves: Sequence[Wave], rows: int, cell: int, *, named: bool) -> Layout:
    blocks = []
    left = first = 0
    for wave in waves:
        count = len(wave.cells)
        columns = max(1, -(-count // rows))
        width = max(columns * cell, 1 + len(wave.told), _LEAST)
        blocks.append(Block(left, width, first, count, columns))
        left += width + _GAP
        first += count
    return Layout(rows, cell, named, tuple(blocks))
