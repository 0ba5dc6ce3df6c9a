"""Which rows are shown, in what order."""

from __future__ import annotations

import random

from console.tui.rows.cells import Cell, Column, Row, lay_out, make_row, plain
from console.tui.rows.filters import TextFilter, compile_pattern
from console.tui.rows.model import TableModel

COLUMNS = (Column("name", "NAME", (4, 4, 4, 4)), Column("load", "LOAD", (4, 4, 4, 4)))


def row(name: str, load: float | None, group: str | None = None) -> Row:
    return make_row(name, group or name, (Cell(name, sort=name), Cell(str(load), sort=load)))


def filled(*loads: float | None) -> TableModel:
    model = TableModel(COLUMNS)
    for index, load in enumerate(loads):
        model.put(f"g{index}", [row(f"r{index}", load, f"g{index}")])
    model.settle(reorder=True)
    return model


def keys(model: TableModel) -> list[str]:
    return [row.key for row in model.shown]


def test_without_a_sort_rows_stay_as_they_were_put() -> None:
    assert keys(filled(3, 1, 2)) == ["r0", "r1", "r2"]


def test_unknown_comes_last_whichever_way_it_is_sorted() -> None:
    model = filled(3, None, 2)
    model.sort_by("load")
    model.settle(reorder=True)
    assert keys(model) == ["r2", "r0", "r1"]
    model.sort_by("load")
    model.settle(reorder=True)
    assert keys(model) == ["r0", "r2", "r1"]
    model.sort_by("name")
    assert not model.reverse


def test_the_same_rows_again_are_no_change() -> None:
    model = filled(1, 2)
    assert not model.put("g0", [row("r0", 1, "g0")])
    assert not model.wants_order
    assert model.put("g0", [row("r0", 5, "g0")])
    assert model.wants_order


def test_rows_keep_their_places_until_they_may_move() -> None:
    model = filled(1, 2, 3)
    model.sort_by("load")
    model.settle(reorder=True)
    model.put("g0", [row("r0", 9, "g0")])
    assert not model.settle(reorder=False)
    assert keys(model) == ["r0", "r1", "r2"]
    assert model.shown[0].cells[1].text == "9"
    assert model.settle(reorder=True)
    assert keys(model) == ["r1", "r2", "r0"]


def test_rows_that_come_and_go_are_shown_at_once() -> None:
    model = filled(1, 2)
    model.put("g9", [row("new", 0, "g9")])
    assert model.settle(reorder=False)
    assert keys(model) == ["r0", "r1", "new"]
    model.drop("g0")
    model.drop("nobody")
    assert model.settle(reorder=False)
    assert keys(model) == ["r1", "new"]
    assert model.total == 2


def test_a_row_that_comes_to_match_the_filter_is_shown_at_once() -> None:
    model = filled(1, 2)
    model.narrow("7")
    model.settle(reorder=True)
    assert keys(model) == []
    model.put("g1", [row("r1", 7, "g1")])
    assert model.settle(reorder=False)
    assert keys(model) == ["r1"]


def test_groups_that_the_selector_leaves_out() -> None:
    model = filled(1, 2, 3)
    model.select_groups(lambda group: group != "g1")
    model.settle(reorder=True)
    assert keys(model) == ["r1"]


def test_marks_of_rows_that_are_gone_are_not_counted() -> None:
    model = filled(1, 2)
    model.marks = {"r0", "gone"}
    assert [r.key for r in model.marked()] == ["r0"]


def test_the_order_is_that_of_a_plain_sort() -> None:
    chance = random.Random(3)
    loads = [chance.choice([None, *range(50)]) for _ in range(300)]
    model = filled(*loads)
    model.sort_by("load")
    model.settle(reorder=True)
    shown = [r.cells[1].sort for r in model.shown]
    known = sorted(load for load in loads if load is not None)
    assert shown == [*known, *[None] * loads.count(None)]


def test_filters() -> None:
    assert TextFilter("").pattern() is None
    assert TextFilter("!").pattern() is None
    wanted = compile_pattern("CAM-[12]")
    assert wanted is not None
    assert wanted.search("cam-2")
    literal = compile_pattern("web(1")
    assert literal is not None
    assert literal.search("the web(1 container")
    assert compile_pattern("a" * 10_000) is not None


def test_columns_fit_whatever_the_width() -> None:
    columns = (
        Column("a", "A", (10, 10, 10, 10), grow=5),
        Column("b", "B", (0, 8, 8, 8)),
        Column("c", "C", (8, 8, 8, 8), grow=100),
    )
    assert lay_out(columns, 28) == [(0, 15), (2, 11)]
    assert lay_out(columns, 29) == [(0, 10), (1, 8), (2, 8)]
    assert lay_out(columns, 80) == [(0, 15), (1, 8), (2, 54)]
    assert lay_out(columns, 12) == [(0, 11)]
    for width in range(1, 250):
        shown = lay_out(columns, width)
        assert len(shown) == 1 or sum(w + 1 for _, w in shown) <= width


def test_a_dim_row_keeps_only_the_tone_of_its_loud_cell() -> None:
    cells = (Cell("a", "bad"), Cell("b", "bad"), Cell("c"))
    tones = [cell.tone for cell in make_row("k", "g", cells, dim=True, loud=1).cells]
    assert tones == ["dim", "bad", ""]


def test_a_cell_for_files_is_its_longest_form() -> None:
    assert plain(Cell("12%", wide="1.2/10G", tag="PROD")) == "1.2/10G PROD"
