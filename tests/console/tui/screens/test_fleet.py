"""One row per node."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import DISK, T4, make_node
from tests.console.tui.showing import fleet_of, settled, table_of, type_command


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if name in line)


async def test_a_node_is_one_line_with_all_that_is_asked_of_a_fleet(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
    assert line_of(text, "NODE").split() == (
        ["NODE↑", "STATE", "DRV", "CUDA", "GPUS", "UTIL", "MEM", "TEMP", "CTRS", "FIND", "AGE"]
    )
    line = line_of(text, "bench-t4")
    assert " ".join(line.split()) == ">bench-t4 ● live 470 11.4 2\u00d7T4 88% 100% !84° 3"
    assert "1 warn" in line_of(text, "cam-full")
    assert "mismatch" in line_of(text, "cam-mismatch")
    assert "1 crit" in line_of(text, "cam-mismatch")
    assert "none" in line_of(text, "cam-none")
    assert "4/5" in line_of(text, "plant7-cam-05")


async def test_every_row_that_is_not_live_says_how_old_it_is(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
    assert line_of(text, "cam-off").endswith("2h")
    assert "offline" in line_of(text, "cam-off")
    assert line_of(text, "cam-slow").endswith("3m")
    assert "stale" in line_of(text, "cam-slow")
    assert line_of(text, "gate-2").endswith("1d")
    assert "refused" in line_of(text, "gate-2")
    assert line_of(text, "cam-new").endswith("--")
    assert "connecting" in line_of(text, "cam-new")


async def test_production_is_a_word_in_the_row(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(60, 24)) as pilot:
        text = await settled(pilot)
    assert "PROD" in line_of(text, "gate-1")
    assert "PROD" not in line_of(text, "cam-fast")


async def test_the_frame_is_there_when_all_that_is_shown_is_production(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "PRODUCTION" not in await settled(pilot)
        text = await type_command(pilot, "fleet /gate")
        assert "╔═ PRODUCTION ═" in text
        assert "PROD " not in text  # the names have its room
        assert "PROD" in line_of(await type_command(pilot, "fleet"), "gate-1")


async def test_what_is_typed_after_slash_filters_at_once(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"orin")
        text = await settled(pilot)
        assert "1-1 of 1 (30 in all)" in text
        assert "/orin" in text
        await pilot.press("enter")
        assert "? help" in await settled(pilot)
        assert [row.key for row in table_of(app).model.shown] == ["orin-1"]
        await pilot.press("escape")
        assert "of 30" in await settled(pilot)


async def test_an_exclamation_mark_turns_the_filter_round(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"!live", "enter")
        await settled(pilot)
        shown = {row.key for row in table_of(app).model.shown}
    assert shown == {"cam-new", "cam-off", "cam-slow", "gate-2"}


async def test_labels_filter_with_l(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", "minus", "l", "space", *"site", "equals_sign", *"dc", "enter")
        text = await settled(pilot)
        assert "-l site=dc" in text
        assert {row.key for row in table_of(app).model.shown} == {"gate-1", "gate-2"}
        await pilot.press("escape")
        assert "of 30" in await settled(pilot)


async def test_escape_in_the_prompt_drops_the_filter(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"orin", "escape")
        text = await settled(pilot)
    assert "1-20 of 30" in text
    assert "/orin" not in text


async def test_shift_and_a_letter_sort_and_sort_back(make_app: MakeApp) -> None:
    nodes = [make_node("a", load=50), make_node("b", load=90), make_node("c", T4, state="offline")]
    nodes[2].sections["gpus"].clear()
    app = make_app(nodes)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "U")
        text = await settled(pilot)
        assert "UTI↓" in text
        # Who sorts by load looks for the most, and finds it under the cursor.
        assert [row.key for row in table_of(app).model.shown] == ["b", "a", "c"]
        assert table_of(app).cursor == 0
        await pilot.press("U")
        text = await settled(pilot)
        assert "UTI↑" in text
        # Unknown comes last either way.
        assert [row.key for row in table_of(app).model.shown] == ["a", "b", "c"]


async def test_the_cursor_stays_on_its_node_when_rows_move(make_app: MakeApp) -> None:
    app = make_app([make_node(f"n{i}", load=i * 10) for i in range(1, 8)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("U", "U", "down", "down")
        table = table_of(app)
        assert table.current is not None
        assert table.current.key == "n3"
        fleet_of(app).set_gpu("n3", 0, utilization_percent=99)
        app.tick()
        table.bring_up_to_date(reorder=True)
        await settled(pilot)
        assert [row.key for row in table.model.shown][-1] == "n3"
        assert table.current.key == "n3"


async def test_marks_one_all_and_a_range(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        model = table_of(app).model
        await pilot.press("space", "down", "down", "ctrl+@")
        assert "4 marked" in await settled(pilot)
        assert len(model.marks) == 4
        await pilot.press("escape")
        assert model.marks == set()
        await pilot.press("slash", *"plant7", "enter", "asterisk")
        assert "16 marked" in await settled(pilot)
        await pilot.press("asterisk")
        assert model.marks == set()


async def test_copy_goes_to_the_terminal_with_every_column(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("c")
        assert "1 node: sent to the terminal's clipboard" in await settled(pilot)
    assert copied[0].split()[:6] == ["bench-t4", "●", "live", "470.256.02", "11.4", "2\u00d7T4"]
    assert "ssh://roost@bench-t4.example" in copied[0]


async def test_export_writes_what_the_filter_shows(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"gate", "enter", "e", "ctrl+u")
        view = app.view
        line = view.query_one("Line")
        line.value = str(tmp_path / "out.csv")  # type: ignore[attr-defined]
        await pilot.press("enter")
        assert "2 nodes saved to" in await settled(pilot)
        written = (tmp_path / "out.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(written.splitlines()))
        assert [row["name"] for row in rows] == ["gate-1", "gate-2"]
        assert {row["production"] for row in rows} == {"yes"}
        assert rows[0]["driver"] == "580.65.06"
        await pilot.press("e", "ctrl+u")
        view.query_one("Line").value = str(tmp_path / "out.csv")  # type: ignore[attr-defined]
        await pilot.press("enter")
        text = await settled(pilot)
        assert "settings.unwritable" in text
        assert "Choose another name" in text


async def test_l_opens_the_only_log_or_the_list(make_app: MakeApp) -> None:
    app = make_app([make_node("one", containers=1), make_node("two", containers=2)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("l")
        await settled(pilot)
        assert app.view.crumb == "logs one/detector"
        await pilot.press("escape", "down", "l")
        await settled(pilot)
        assert app.view.crumb == "containers @two"


async def test_d_opens_the_doctor_on_what_is_marked(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"mism", "enter", "space", "slash", "ctrl+u", *"full", "enter")
        await pilot.press("space", "d")
        await settled(pilot)
        assert app.view.scope == "doctor"
        assert {r.group for r in table_of(app).model.shown} == {"cam-mismatch", "cam-full"}


@pytest.mark.parametrize(
    ("key", "view"), [("y", "compat"), ("w", "workloads"), ("o", "placement"), ("i", "images")]
)
async def test_keys_open_views_of_the_node_or_of_all_that_are_marked(
    make_app: MakeApp, key: str, view: str
) -> None:
    app = make_app([make_node("a"), make_node("b"), make_node("c")])
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        assert str(app.view.command) == f"{view} @a"
        await pilot.press("escape", "down", "space", "space", key)
        await settled(pilot)
        assert str(app.view.command) == f"{view} @b,@c"
        await pilot.press("escape", "home", "enter", key)
        await settled(pilot)
        assert str(app.view.command) == f"{view} @a"


async def test_names_that_would_move_the_cursor_or_be_markup_are_only_text(
    make_app: MakeApp,
) -> None:
    app = make_app([make_node("[red]x[/red]"), make_node("a\x1b[2J\x07b")])
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
    assert "[red]x[/red]" in text
    assert "a\\x1b[2J\\x07b" in text


async def test_no_nodes_and_no_match_are_said(make_app: MakeApp) -> None:
    app = make_app([])
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "no nodes yet: roost node add ADDRESS" in text
        assert "0 nodes" in text


async def test_a_filter_that_nothing_matches_says_how_to_leave_it(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"zzz", "enter")
        assert "nothing matches: Esc clears the filter" in await settled(pilot)
        await pilot.press("escape")
        assert "bench-t4" in await settled(pilot)


async def test_a_sort_is_remembered_for_its_screen(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "gpus")
        await pilot.press("T", "T")
        await type_command(pilot, "doctor")
        text = await type_command(pilot, "gpus")
        assert "TEM↑" in text


async def test_a_node_that_is_gone_takes_its_row_with_it(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        del fleet_of(app).nodes["bench-t4"]
        fleet_of(app).changed.add("bench-t4")
        app.tick()
        text = await settled(pilot)
    assert "bench-t4" not in text
    assert "29 nodes" in text


@pytest.mark.parametrize("size", [(50, 11), (60, 20), (79, 24), (120, 40), (200, 50)])
async def test_at_every_size_no_line_is_too_long_and_names_can_be_read(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
    lines = text.splitlines()
    assert len(lines) == size[1]
    assert max(len(line) for line in lines) <= size[0]
    assert "cam-mismatch" in text or size == (50, 11)
    assert "? help" in text


async def test_a_selector_that_selects_nothing_known_is_a_problem(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "fleet sitee=dc")
        assert "fleet.label_unknown" in text
        assert "Did you mean 'site'?" in text
        await pilot.press("escape")
        text = await type_command(pilot, "containers @gate-9")
        assert "fleet.node_unknown" in text
        assert app.view.command.view == "fleet"
        await pilot.press("escape", "slash", "minus", "l", "space", "comma", "enter")
        text = await settled(pilot)
        assert "fleet.selector" in text


async def test_the_worst_findings_come_first(make_app: MakeApp) -> None:
    app = make_app([make_node("a"), make_node("b", findings=[DISK]), make_node("c")])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("F")
        await settled(pilot)
        assert table_of(app).model.shown[0].key == "b"


async def test_escape_drops_the_filter_then_the_selector(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "fleet site=dc /gate")
        assert "fleet site=dc" in text
        assert "2 (30 in all)" in text
        await pilot.press("escape")
        assert "fleet site=dc" in await settled(pilot)
        await pilot.press("escape")
        text = await settled(pilot)
        assert "site=dc" not in text.splitlines()[1]
        assert "of 30" in text
        await pilot.press("escape")
        assert "This is the first screen." in await settled(pilot)
