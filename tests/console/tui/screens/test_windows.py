"""Help, palette, problems, and what every window over a screen does."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.tui.action import Scope
from console.tui.actions import offered_on
from console.tui.commands import VIEWS
from console.tui.look.glyphs import ASCII
from console.tui.screens.dialog import TextDialog
from console.tui.screens.help import help_entries
from tests.console.tui.conftest import MakeApp
from tests.console.tui.showing import settled, type_command


async def test_help_has_every_action_of_the_screen(make_app: MakeApp) -> None:
    app = make_app()
    entries = help_entries(app.context, "fleet")
    text = "\n".join(entry.text for entry in entries)
    assert all(action.help in text for action in offered_on("fleet"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        assert "Keys: fleet" in await settled(pilot)
        await pilot.press("question_mark")
        assert "Keys: fleet" not in await settled(pilot)


@pytest.mark.parametrize(("screen", "labels"), [("logs", False), ("job", False), ("fleet", True)])
def test_only_tables_are_said_to_filter_by_label(
    make_app: MakeApp,
    screen: Scope,
    labels: bool,
) -> None:
    entries = help_entries(make_app().context, screen)
    filters = [entry.text for entry in entries if entry.label.startswith(" / ")]
    assert len(filters) == 1
    assert ("-l site=" in filters[0]) is labels


async def test_help_scrolls(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("question_mark")
        text = await settled(pilot)
        assert "Ctrl+D" not in text
        assert "1-16 of " in text
        await pilot.press(*["pagedown"] * 20)
        assert "To the last" in await settled(pilot)
        await pilot.press("g")
        assert "1-16 of " in await settled(pilot)
        await pilot.press("G")
        assert "To the last" in await settled(pilot)
        await pilot.press("home")
        assert "1-16 of " in await settled(pilot)
        await pilot.press("end")
        assert "To the last" in await settled(pilot)


async def test_help_and_palette_know_every_view(make_app: MakeApp) -> None:
    app = make_app()
    labels = " ".join(entry.label for entry in help_entries(app.context, "fleet"))
    assert all(f" :{view} " in labels for view in VIEWS)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", "colon", *"gpus", "enter")
        await settled(pilot)
        assert app.view.command.view == "gpus"
        await pilot.press("ctrl+p", "colon", *"logs", "enter")
        assert ":logs" in (await settled(pilot)).splitlines()[-1]
        assert app.view.is_asking


async def test_tab_goes_through_what_is_possible(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", "tab", "tab", "tab")
        assert ":containers" in (await settled(pilot)).splitlines()[-1]
        await pilot.press("ctrl+u", *"im", "tab", "tab")
        assert ":images" in (await settled(pilot)).splitlines()[-1]
        await pilot.press("space", "at", *"orin", "tab", "enter")
        await settled(pilot)
        assert str(app.view.command) == "images @orin-1"


async def test_the_palette_finds_by_any_words_and_does_it(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", *"doctor", "space", *"wrong")
        text = await settled(pilot)
        assert "What is wrong, why" in text
        assert "mark all" not in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.command.view == "doctor"


async def test_what_is_called_so_comes_first_in_the_palette(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", *"placement")
        assert "o" in (await settled(pilot)).split("placement", 2)[2].split()[:2]
        await pilot.press(*["backspace"] * 9, *"pus", "enter")
        await settled(pilot)
        assert app.view.command.view == "push"


async def test_the_palette_can_be_left(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", "down", "up", *"zzz")
        assert "no such action" in await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.command.view == "fleet"
        await pilot.press("ctrl+p", "escape")
        assert "Actions" not in await settled(pilot)


async def test_the_palette_takes_no_pattern_apart(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", "left_parenthesis", "asterisk")
        await settled(pilot)


async def test_a_problem_shows_code_detail_and_hint_and_can_be_copied(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    error = ProblemError("link.garbage", "cam-01: \x1b[2Jnot an agent", hint="Check the address.")
    about = "[red]cam[/] \x1b[2J"
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.view.show_problem(error.problem(), about=about)
        text = await settled(pilot)
        assert "[red]cam[/] \\x1b[2J" in text
        assert "What answers is not a Roost agent" in text
        assert "cam-01: \\x1b[2Jnot an agent" in text
        assert "Do: Check the address." in text
        assert "link.garbage" in text
        await pilot.press("c")
        assert "sent to the terminal's clipboard" in await settled(pilot)
        assert "link.garbage" in copied[0]
        await pilot.press("enter")
        assert "link.garbage" not in await settled(pilot)


async def test_a_window_fits_a_small_terminal(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(52, 12)) as pilot:
        await pilot.press("question_mark")
        lines = (await settled(pilot)).splitlines()
        assert len(lines) == 12
        assert any("Enter close" in line for line in lines)


async def test_in_ascii_nothing_else_is_drawn(make_app: MakeApp) -> None:
    app = make_app(glyphs=ASCII)
    async with app.run_test(size=(80, 24)) as pilot:
        for command in ("fleet", "containers", "gpus", "node gate-1", "doctor"):
            text = await type_command(pilot, command)
            assert text.isascii(), command
        await pilot.press("question_mark")
        text = await settled(pilot)
        assert "Keys: doctor" in text
        assert text.isascii()


async def test_ctrl_c_leaves_from_a_window_too(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        await settled(pilot)
        assert isinstance(app.screen, TextDialog)
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert app.return_value == 0
