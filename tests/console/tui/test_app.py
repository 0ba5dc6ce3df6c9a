"""Going from screen to screen, and what is the same on all of them."""

from __future__ import annotations

from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import make_node
from tests.console.tui.showing import fleet_of, screen_text, settled, table_of, type_command


async def test_the_first_screen_is_the_fleet_and_the_fleet_is_followed_after_it(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "30 nodes" in text
        assert "bench-t4" in text
        assert fleet_of(app).started == 1
    assert fleet_of(app).stopped == 1


async def test_enter_drills_in_and_escape_goes_back(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        text = await settled(pilot)
        assert "fleet \u203a bench-t4" in text
        await pilot.press("escape")
        assert "1-20 of 30" in await settled(pilot)
        await pilot.press("escape")
        assert "q leaves Roost" in await settled(pilot)


async def test_q_goes_back_and_leaves_from_the_first_screen(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        assert "fleet \u203a bench-t4" in await settled(pilot)
        await pilot.press("q")
        assert "1-20 of 30" in await settled(pilot)
        assert app.is_running
        await pilot.press("q")
        await pilot.pause()
    assert app.return_code == 0


async def test_a_command_goes_to_a_view_with_selector_and_filter(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        text = await type_command(pilot, "containers @gate-1 /gatew")
        assert "containers @gate-1" in text
        assert "/gatew  1-1 of 1" in text
        assert [row.group for row in table_of(app).model.shown] == ["gate-1"]
        text = await type_command(pilot, "fleet site=dc")
        assert "1-2 of 2" in text
        assert len(app.views) == 1


async def test_minus_goes_to_the_view_before(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "gpus")
        await type_command(pilot, "doctor")
        await pilot.press("minus")
        await settled(pilot)
        assert app.view.command.view == "gpus"
        await pilot.press("minus")
        await settled(pilot)
        assert app.view.command.view == "doctor"


async def test_a_wrong_command_says_what_was_meant(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "contaners")
        assert "There is no view 'contaners'" in text
        assert "Did you mean :containers?" in text
        await pilot.press("escape")
        assert "no view" not in await settled(pilot)


async def test_what_enter_would_do_stands_beside_what_is_typed(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("colon")
        assert "Enter:" not in await settled(pilot)
        await pilot.press("p")
        assert (await settled(pilot)).splitlines()[-1].endswith("Enter: push, not placement")
        await pilot.press("l")
        assert (await settled(pilot)).splitlines()[-1].endswith(":placement [SELECTOR]")
        await pilot.press("enter")
        await settled(pilot)
        assert str(app.view.command) == "placement"
        await pilot.press("slash", "p")
        assert "Enter:" not in await settled(pilot)


async def test_tab_completes_views_and_nodes(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-07"), make_node("gate-1")])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", "n", "o", "d", "e", "space", "g", "tab", "enter")
        assert "gate-1" in (await settled(pilot)).splitlines()[1]
        assert app.view.scope == "node"


async def test_colon_q_and_ctrl_c_leave(make_app: MakeApp) -> None:
    for keys in (("colon", "q", "enter"), ("ctrl+c",)):
        app = make_app()
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(*keys)
            await pilot.pause()
        assert app.return_value == 0


async def test_pause_holds_the_screen_still(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01", load=40)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        fleet_of(app).set_gpu("cam-01", 0, utilization_percent=77)
        app.tick()
        text = await settled(pilot)
        assert "PAUSED" in text
        assert "77%" not in text
        await pilot.press("p")
        text = await settled(pilot)
        assert "PAUSED" not in text
        assert "77%" in text


async def test_r_and_the_command_set_the_refresh(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for seconds in (2, 5, 10, 1):
            await pilot.press("r")
            await pilot.pause()
            assert app.refresh_seconds == seconds
        await type_command(pilot, "refresh 5")
        assert app.refresh_seconds == 5


async def test_only_what_changed_is_drawn_again(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        drawn: list[int] = []
        table = app.view.query_one("RowTable")
        before = table.render_line

        def render_line(y: int) -> object:
            drawn.append(y)
            return before(y)

        table.render_line = render_line  # type: ignore[method-assign, assignment]
        app.tick()
        await pilot.pause()
        assert drawn == []
        fleet_of(app).set_gpu("cam-fast", 0, utilization_percent=12)
        app.tick()
        await pilot.pause()
        assert drawn == [2]


async def test_every_theme_can_be_worn(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        worn = []
        for _ in range(4):
            await pilot.press("ctrl+t")
            await settled(pilot)
            worn.append(app.theme)
            assert "bench-t4" in screen_text(app)
        assert sorted(set(worn)) == ["roost-ansi", "roost-dark", "roost-light", "roost-safe"]
        await type_command(pilot, "theme light")
        assert app.theme == "roost-light"


async def test_a_small_terminal_says_what_it_needs_and_comes_back(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(40, 10)) as pilot:
        text = await settled(pilot)
        assert "This terminal has 40x10 cells." in text
        assert "roost node ls" in text
        assert "bench-t4" not in text
        await pilot.resize_terminal(80, 24)
        text = await settled(pilot)
        assert "bench-t4" in text
        assert "This terminal" not in text


async def test_the_view_that_was_asked_for_comes_first(make_app: MakeApp) -> None:
    app = make_app(first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "fleet \u203a doctor" in await settled(pilot)


async def test_bytes_a_second_are_shown_when_asked_for(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+d")
        assert " B/s" in await settled(pilot)
        await pilot.press("ctrl+d")
        assert " B/s" not in await settled(pilot)
