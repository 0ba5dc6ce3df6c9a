"""Start, stop, restart: asked first, carried out, read back."""

from __future__ import annotations

import asyncio

import pytest

from agent.protocol.problems import ProblemError
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import make_node
from tests.console.tui.showing import fleet_of, settled, table_of


@pytest.mark.parametrize("first", ["node cam-01", "containers"])
async def test_cancel_has_the_focus(make_app: MakeApp, first: str) -> None:
    app = make_app([make_node("cam-01")], first=first)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        text = await settled(pilot)
        assert "Stop detector on cam-01?" in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert "Stop detector" not in text
        assert fleet_of(app).clients["cam-01"].acted == []


@pytest.mark.parametrize(
    ("key", "verb", "said"),
    [
        ("x", "stop", "detector is exited on cam-01"),
        ("u", "start", "detector is running on cam-01"),
        ("ctrl+r", "restart", "detector is running on cam-01"),
    ],
)
async def test_the_other_choice_does_it_and_says_what_was_read_back(
    make_app: MakeApp, key: str, verb: str, said: str
) -> None:
    app = make_app([make_node("cam-01")], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key, "tab", "enter")
        assert said in await settled(pilot)
    acted = fleet_of(app).clients["cam-01"].acted
    assert [done for done, _ in acted] == [verb]


async def test_escape_cancels_the_question(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x", "tab", "escape")
        assert "Stop detector" not in await settled(pilot)
        assert fleet_of(app).clients["cam-01"].acted == []


async def test_on_production_the_name_has_to_be_typed(make_app: MakeApp) -> None:
    app = make_app([make_node("gate", production=True)], first="containers")
    client = fleet_of(app).clients["gate"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        text = await settled(pilot)
        assert "PRODUCTION: gate" in text
        assert "Type detector to go on:" in text
        await pilot.press("tab", "enter")
        assert "That is not detector." in await settled(pilot)
        await pilot.press(*"detecto", "enter")
        assert "That is not detector." in await settled(pilot)
        assert client.acted == []
        await pilot.press("r", "enter")
        assert "detector is exited on gate" in await settled(pilot)
    assert len(client.acted) == 1


async def test_an_empty_answer_is_no_answer(make_app: MakeApp) -> None:
    app = make_app([make_node("gate", production=True)], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x", "enter")
        assert "Type detector" not in await settled(pilot)
        assert fleet_of(app).clients["gate"].acted == []


async def test_marks_are_taken_together_and_have_to_be_typed(make_app: MakeApp) -> None:
    app = make_app([make_node("a", containers=2), make_node("b", containers=1)], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("asterisk", "ctrl+r")
        text = await settled(pilot)
        assert "Restart 3 containers on 2 nodes?" in text
        assert "a: detector" in text
        assert "Type restart 3 to go on:" in text
        await pilot.press(*"restart", "space", "3", "enter")
        assert "restart: all 3 are done and were read back" in await settled(pilot)
    fleet = fleet_of(app)
    assert (len(fleet.clients["a"].acted), len(fleet.clients["b"].acted)) == (2, 1)


async def test_one_failure_stops_no_other_and_is_told(make_app: MakeApp) -> None:
    app = make_app([make_node("a", containers=1), make_node("b", containers=1)], first="containers")
    fleet = fleet_of(app)
    fleet.clients["a"].fails = ProblemError(
        "auth.role", "a: a viewer may not stop containers", hint="Use an operator's token."
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("asterisk", "x", *"stop", "space", "2", "enter")
        text = await settled(pilot)
        assert "stop failed for 1 of 2 containers" in text
        assert "a viewer may not stop containers" in text
        assert "Use an operator's token." in text
        assert "auth.role" in text
    assert len(fleet.clients["b"].acted) == 1


async def test_what_takes_long_shows_itself_and_can_be_cancelled(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="containers")
    client = fleet_of(app).clients["cam-01"]
    client.hold = asyncio.Event()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x", "tab", "enter")
        await pilot.pause()
        footer = app.view.footer.text
        assert "stopping detector ..." in footer
        assert "Esc cancels" in footer
        await pilot.press("x")
        await pilot.pause()
        assert "Something is still going on" in app.view.footer.text
        await pilot.press("escape")
        text = await settled(pilot)
        assert "Cancelled here; what was sent to a node may still be done there." in text
        assert client.acted == []
        assert app.view.command.view == "containers"


async def test_an_error_that_nobody_thought_of_is_a_problem_and_not_the_end(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app([make_node("cam-01")], first="containers")

    async def broken(name: str, action: str) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(fleet_of(app).clients["cam-01"], "act", broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x", "tab", "enter")
        text = await settled(pilot)
        assert "ZeroDivisionError: oops" in text
        await pilot.press("escape")
        assert "containers" in await settled(pilot)


async def test_read_only_refuses_and_says_why(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="containers", read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "READ-ONLY" in text
        assert "x stop" not in text
        await pilot.press("x")
        assert "This console is read-only: no stop here." in await settled(pilot)
        await pilot.press("s")
        assert "This console is read-only: no shell here." in await settled(pilot)
        await pilot.press("question_mark")
        pages = []
        for _ in range(8):
            pages.append(await settled(pilot))
            await pilot.press("pagedown")
        assert "(not here: this" in "".join(pages)
    assert fleet_of(app).clients["cam-01"].acted == []


async def test_a_container_that_went_meanwhile(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01", containers=1)], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).nodes["cam-01"].sections["containers"].clear()
        await pilot.press("x")
        assert "There is no container under the cursor." in await settled(pilot)
        app.tick()
        fleet_of(app).changed.add("cam-01")
        app.tick()
        assert "no containers" in await settled(pilot)
        assert table_of(app).current is None
