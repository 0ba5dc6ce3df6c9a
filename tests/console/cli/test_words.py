"""The tables of the command line say what the terminal interface says, in the same words."""

from __future__ import annotations

import pytest

from console.cli.container_words import used_memory
from console.cli.node_words import gpu_words, load
from console.tui.look.glyphs import ASCII
from console.tui.rows.cells import Cell
from console.tui.rows.containers import NODE_COLUMNS, node_container_rows
from console.tui.rows.fleet import COLUMNS, fleet_row
from tests.console.tui.fakes import H200, T4, make_node

MIB, GIB = 1024**2, 1024**3


def node_cell(name: str, cells: tuple[Cell, ...]) -> Cell:
    return cells[[column.id for column in COLUMNS].index(name)]


def test_gpus_that_are_lost() -> None:
    node = make_node("a", T4, 2)
    live = node.node()
    assert live is not None
    assert gpu_words(live, node.gpus()) == "2xT4"
    next(iter(node.sections["gpus"].values()))["state"] = "lost"
    assert gpu_words(live, node.gpus()) == "1 lost of 2xT4"
    assert node_cell("gpus", fleet_row(node, ASCII).cells).text == "1 lost of 2xT4"


def test_memory_of_gpus() -> None:
    for board, count in ((T4, 2), (H200, 8)):
        node = make_node("a", board, count)
        cell = node_cell("memory", fleet_row(node, ASCII).cells)
        said = load(node.gpus())[1]
        assert (said.text, said.short) == (cell.wide, cell.text)


@pytest.mark.parametrize(
    ("used", "limit", "text"),
    [
        (0, None, "<2M"),
        (0, 8 * GIB, "<2M"),
        (512 * MIB, None, "512M"),
        (512 * MIB, 8 * GIB, "0.5/8.0G"),
    ],
)
def test_memory_of_a_container(used: int, limit: int | None, text: str) -> None:
    node = make_node("a", containers=1)
    record = next(iter(node.sections["containers"].values()))
    record |= {"memory_used_bytes": used, "memory_limit_bytes": limit}
    (row,) = node_container_rows(node)
    cell = row.cells[[column.id for column in NODE_COLUMNS].index("memory")]
    assert used_memory(node.containers()[0]).text == (cell.wide or cell.text) == text
