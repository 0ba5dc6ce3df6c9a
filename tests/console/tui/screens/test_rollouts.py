"""Rollouts: the list, one with its waves, what is done to them. The journal is a real one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from agent.protocol.problems import ProblemError
from console.rollouts.locks import steering_lock
from console.rollouts.record import Rollout
from console.tui.app import RoostApp
from console.tui.rollouts import Rollouts
from console.tui.screens.rollout import RolloutScreen
from tests.console.tui import fakes
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_desk import FakeDesk, judge, judged, keep, make_rollout, tell
from tests.console.tui.showing import screen_text, settled, table_of, type_command

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def desk(tmp_path: Path) -> FakeDesk:
    return FakeDesk(tmp_path / "state")


def rollout_app(
    make_app: MakeApp, desk: FakeDesk, first: str = "rollout", **how: object
) -> RoostApp:
    app: RoostApp = make_app([fakes.make_node("n1-0")], first=first, rollouts=Rollouts(desk), **how)
    return app


def screen_of(app: RoostApp) -> RolloutScreen:
    assert isinstance(app.view, RolloutScreen)
    return app.view


def wishes(desk: FakeDesk, rollout: Rollout) -> list[tuple[str, str]]:
    return [(each.wish, each.by) for each in desk.journal().wishes(rollout.id)]


async def confirmed(pilot: Pilot[int], key: str, typed: str = "") -> str:
    """Press the key, answer the question, and wait."""
    await pilot.press(key)
    await settled(pilot)
    await pilot.press(*(typed or ["tab"]), "enter")
    return await settled(pilot)


async def test_without_a_journal_nothing_is_made(
    make_app: MakeApp, desk: FakeDesk, tmp_path: Path
) -> None:
    app = rollout_app(make_app, desk, "rollouts")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "there is no rollout yet: roost rollout plan makes one" in await settled(pilot)
    assert not (tmp_path / "state").exists()


async def test_the_list_says_how_far_who_and_what_it_waits_for(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    keep(
        desk,
        make_rollout("00old000", [["done"] * 30], state="done", prefix="o"),
        make_rollout("00plan00", [["planned"] * 2], state="planned", prefix="p"),
        make_rollout(gate="manual", state="gate"),
    )
    app = rollout_app(make_app, desk, "rollouts")
    with steering_lock(desk.journal().folder, "aa11bb22"):
        async with app.run_test(size=(200, 50)) as pilot:
            text = await settled(pilot)
            rows = [row.key for row in table_of(app).model.shown]
            assert rows == ["aa11bb22", "00plan00", "00old000"]
            lines = {line.split()[0].strip(">"): line for line in text.splitlines() if line}
            assert "app@2c2cc523" in lines["aa11bb22"]
            assert "gate, wave 2 of 3" in lines["aa11bb22"]
            assert "●◐◐◔·" in lines["aa11bb22"]
            assert "1 done, 2 canary, 1 applying, 1 planned" in lines["aa11bb22"]
            assert "at work" in lines["aa11bb22"]
            assert "waits: for somebody to promote wave 2" in lines["aa11bb22"]
            assert "it is a plan: s starts it" in lines["00plan00"]
            assert "●" * 12 in lines["00old000"]
            await pilot.press("enter")
            await settled(pilot)
            assert app.view.crumb == "rollout aa11bb22"


async def test_one_that_nobody_steers_is_told_and_a_key_has_it_steered(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    keep(desk, make_rollout())
    app = rollout_app(make_app, desk, "rollouts")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "nobody steers it, and its nodes go back by themselves" in await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert "nobody steers it, and its nodes go back by themselves: y has it steered" in text
        assert "y steer" in text
        await pilot.press("y")
        assert "a runner is starting" in await settled(pilot)
    assert desk.asked == ["aa11bb22"]


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)])
async def test_waves_figures_and_events(
    make_app: MakeApp, desk: FakeDesk, size: tuple[int, int]
) -> None:
    rollout = make_rollout()
    keep(desk, rollout)
    judge(desk, rollout, "n2-0", judged())
    tell(desk, rollout, "wave 2 is looked at")
    app = rollout_app(make_app, desk)
    with steering_lock(desk.journal().folder, rollout.id):
        async with app.run_test(size=size) as pilot:
            text = await settled(pilot)
    assert "app@2c2cc523  running, wave 2 of 3" in text
    assert ">◐C10 n2-0" in text  # where it goes on
    assert "●D n1-0" in text
    assert "wave 2 *" in text
    assert "n2-0  canary 10 % for 1m; judged pass" in text
    assert "wave 2 is looked at" in text
    if size[1] >= 24:
        assert "at 10 % (1 of 3)  soak 4m left" in text
        assert "●D 1 done  ◐C 2 canary  ◔A 1 applying  ·P 1 planned" in text
        line = next(line for line in text.splitlines() if "web/p99.stable" in line)
        assert "54 ms" in line
        assert "40 ms" in line
        assert "▁▂▃▄▅▆▇█" in line
        assert "it is not told by process" in text


async def test_the_cursor_goes_over_the_nodes_and_enter_tells_all(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    rollout = make_rollout(waves=[["done"], ["canary", "stuck"], ["planned"]])
    keep(desk, rollout)
    judge(desk, rollout, "n2-0", judged("fail"))
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        grid = screen_of(app).grid
        places = []
        for key in ("home", "right", "down", "right", "right", "left", "end", "less_than_sign"):
            await pilot.press(key)
            assert grid.current is not None
            places.append(grid.current.name)
        assert places == ["n1-0", "n2-0", "n2-1", "n3-0", "n3-0", "n2-0", "n3-0", "n2-0"]
        await pilot.press("n")
        assert "n2-1  stuck for 1m; it did not answer" in await settled(pilot)
        await pilot.press("up", "enter")
        text = await settled(pilot)
        assert "deployment  d1" in text
        assert "fail  web/p99.stable: p99 54 ms, stable 40 ms" in text
        await pilot.press("escape", "d")
        text = await settled(pilot)
        assert "planned by  maria@depot" in text
        assert "waves: 1 node, 10 %, the rest" in text


async def test_what_happens_is_followed_and_read_once(make_app: MakeApp, desk: FakeDesk) -> None:
    rollout = make_rollout()
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        rollout.nodes[1].stage = "confirming"
        tell(desk, rollout, *(f"event {number}" for number in range(40)))
        app.tick()
        text = await settled(pilot)
        assert "◕K n2-0" in text
        assert "event 39" in text
        app.tick()
        await settled(pilot)
        assert len(screen_of(app).buffer) == 41  # with the plan, each once
        await pilot.press("pageup", "pageup")
        text = await settled(pilot)
        assert "event 39" not in text
        assert "of 41" in text
        await pilot.press(*["pagedown"] * 3)
        assert "event 39" in await settled(pilot)
        await pilot.press("l")
        await settled(pilot)
        assert app.view.crumb == "history aa11bb22"
        while "event 39" not in screen_text(app):  # a log is painted a few times a second
            await pilot.pause(0.05)
        assert "event 39" in screen_text(app)
        assert "following" in screen_text(app)


async def test_pause_is_written_at_once_and_a_runner_is_asked_for(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    rollout = make_rollout()
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("w")
        text = await settled(pilot)
        assert "pause: told to the runner of aa11bb22: started" in text
        assert "pause by maria@depot waits for the runner" in text
    assert wishes(desk, rollout) == [("pause", "maria@depot")]
    assert desk.asked == ["aa11bb22"]


@pytest.mark.parametrize(
    ("state", "key", "wish"),
    [("gate", "m", "promote"), ("paused", "o", "resume"), ("failed", "a", "retry")],
)
async def test_what_goes_on_asks_with_cancel_focused(
    make_app: MakeApp, desk: FakeDesk, state: str, key: str, wish: str
) -> None:
    stages = [["done"], ["canary", "reverted"]]
    rollout = make_rollout(waves=stages, state=state)  # type: ignore[arg-type]  # parametrised
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    with steering_lock(desk.journal().folder, rollout.id):
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            await pilot.press(key)
            assert ">[ Cancel ]" in await settled(pilot)
            await pilot.press("enter")
            await settled(pilot)
            assert wishes(desk, rollout) == []
            assert f"{wish}: told to the runner" in await confirmed(pilot, key)
    assert wishes(desk, rollout) == [(wish, "maria@depot")]
    assert desk.asked == []  # one is at work


@pytest.mark.parametrize(
    ("key", "wish", "told"),
    [
        ("x", "abort", "2 nodes that are done stay as they are"),
        ("X", "abort-all", "2 nodes that are done go back, at most 1 at a time"),
    ],
)
async def test_aborting_several_nodes_wants_the_name(
    make_app: MakeApp, desk: FakeDesk, key: str, wish: str, told: str
) -> None:
    rollout = make_rollout(waves=[["done", "done"], ["canary", "applying"], ["planned"]])
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        text = await settled(pilot)
        assert "2 nodes not confirmed go back at once" in text
        assert "1 node that nothing was changed on is left out" in text
        assert told in text
        assert "Type app to go on" in text
        await pilot.press(*"nope", "enter")
        assert "That is not app" in await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert wishes(desk, rollout) == []
        assert f"{wish}: told to the runner" in await confirmed(pilot, key, "app")
    assert wishes(desk, rollout) == [(wish, "maria@depot")]


async def test_aborting_one_node_wants_no_name_unless_it_is_production(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    rollout = make_rollout(waves=[["canary"], ["planned"]])
    keep(desk, rollout)
    for production in (False, True):
        node = fakes.make_node("n1-0", production=production)
        app: RoostApp = make_app([node], first="rollout", rollouts=Rollouts(desk))
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            await pilot.press("x")
            text = await settled(pilot)
            assert ("Type app to go on" in text) is production
            assert ("PRODUCTION: n1-0" in text) is production


@pytest.mark.parametrize(("key", "wish"), [("u", "undo"), ("ctrl+u", "undo-at-once")])
async def test_undoing_wants_the_name(
    make_app: MakeApp, desk: FakeDesk, key: str, wish: str
) -> None:
    rollout = make_rollout(waves=[["done"], ["done"]], state="done")
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert f"{wish}: told to the runner" in await confirmed(pilot, key, "app")
    assert wishes(desk, rollout) == [(wish, "maria@depot")]
    assert desk.asked == ["aa11bb22"]


async def test_undoing_one_node_at_once_wants_the_name_too(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    keep(desk, make_rollout(waves=[["done"]], state="done"))
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        assert "Type app" not in await settled(pilot)
        await pilot.press("escape", "ctrl+u")
        assert "Type app" in await settled(pilot)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("m", "maria@depot has planned it, and its waves need the approval of somebody else"),
        ("o", "it is gate"),
        ("u", "it is gate"),
        ("a", "it is gate"),
    ],
)
async def test_what_cannot_be_done_is_told_with_why(
    make_app: MakeApp, desk: FakeDesk, key: str, why: str
) -> None:
    rollout = make_rollout(state="gate", gate="approval")
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(120, 40)) as pilot:
        text = await settled(pilot)
        assert "m promote" not in text  # the footer offers what can be done
        assert "x abort" in text
        await pilot.press(key)
        text = await settled(pilot)
        assert why in " ".join(text.replace("│", " ").split())
    assert wishes(desk, rollout) == []


async def test_what_changed_while_it_was_asked_is_told(make_app: MakeApp, desk: FakeDesk) -> None:
    rollout = make_rollout(state="gate")
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        rollout.state = "aborted"
        tell(desk, rollout, "aborted")
        await pilot.press("tab", "enter")
        assert "it is aborted" in await settled(pilot)
    assert wishes(desk, rollout) == []


async def test_a_plan_is_started_once_its_name_was_typed(make_app: MakeApp, desk: FakeDesk) -> None:
    keep(desk, make_rollout(waves=[["planned"], ["planned", "cannot"]], state="planned"))
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "nothing has changed yet; s starts it" in await settled(pilot)
        await pilot.press("s")
        text = await settled(pilot)
        assert "It goes to 2 nodes in 2 waves." in text
        assert "waves: 1 node, 10 %, the rest" in text
        desk.refuses = ProblemError("rollout.start", "n1-0 cannot be reached", hint="A key.")
        await pilot.press(*"app", "enter")
        assert "n1-0 cannot be reached" in await settled(pilot)
        assert desk.begun == []
        desk.refuses = None
        await pilot.press("escape")
        text = await confirmed(pilot, "s", "app")
        assert "running, wave 1 of 2" in text
        assert "a runner is starting" in text
    assert desk.begun == ["aa11bb22"]


async def test_who_may_change_nothing_can_look(make_app: MakeApp, desk: FakeDesk) -> None:
    rollout = make_rollout()
    keep(desk, rollout)
    app = rollout_app(make_app, desk, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "w pause" not in text
        for key in ("w", "x", "y", "s"):
            await pilot.press(key)
            assert "read-only" in await settled(pilot)
    assert wishes(desk, rollout) == []
    assert desk.asked == []


async def test_the_bell_rings_once_for_each_change(
    make_app: MakeApp, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = make_rollout(state="gate")
    keep(desk, rollout)
    rung: list[int] = []
    monkeypatch.setattr(RoostApp, "bell", lambda _: rung.append(1))
    app = rollout_app(make_app, desk, "fleet")

    async def look(pilot: Pilot[int]) -> str:
        app.look_at_rollouts()
        await settled(pilot)
        app.tick()
        return await settled(pilot)

    async with app.run_test(size=(80, 24)) as pilot:
        await look(pilot)
        assert rung == []  # it was so before
        rollout.state, rollout.since, rollout.why = "paused", fakes.NOW - 1, "n2-0 failed"
        tell(desk, rollout, "paused")
        assert "aa11bb22 is paused: n2-0 failed" in await look(pilot)
        await look(pilot)
        assert rung == [1]
        rollout.state = "running"
        rollout.nodes[1].stage = "stuck"
        tell(desk, rollout, "stuck")
        await look(pilot)
        assert rung == [1, 1]
        await type_command(pilot, "rollouts")
        await pilot.press("b")
        assert "The bell is off" in await settled(pilot)
        assert "no bell" in screen_text(app)
        rollout.state = "failed"
        tell(desk, rollout, "failed")
        await look(pilot)
        assert rung == [1, 1]


async def test_a_rollout_that_there_is_not(make_app: MakeApp, desk: FakeDesk) -> None:
    keep(desk, make_rollout())
    app = rollout_app(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "there is no rollout ffff" in await type_command(pilot, "rollout ffff")
        assert "app@2c2cc523" in await type_command(pilot, "rollout aa1")


def many(stage_of_first: Sequence[str] = ("canary",)) -> Rollout:
    """Five hundred nodes in five waves."""
    counts = (1, 50, 150, 150, 149)
    waves = [["planned"] * count for count in counts]
    waves[0] = [*stage_of_first]
    return make_rollout(waves=waves)  # type: ignore[arg-type]  # they are stages


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_five_hundred_nodes_scroll_sideways_and_draw_little(
    make_app: MakeApp, desk: FakeDesk, size: tuple[int, int]
) -> None:
    rollout = many()
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        grid = screen_of(app).grid
        assert len(grid.cells) == 500
        whole = grid.plan.width < size[0]
        assert whole is (size[0] == 200)
        assert ("<waves 1-" in text) is not whole
        await pilot.press("end")
        text = await settled(pilot)
        assert "n5-148  planned" in text
        assert "wave 5" in text
        drawn: list[int] = []
        render = grid.render_line

        def told(y: int) -> Strip:
            drawn.append(y)
            return render(y)

        grid.render_line = told  # type: ignore[method-assign]  # it is watched
        rollout.nodes[-1].stage = "preparing"
        tell(desk, rollout, "preparing")
        app.tick()
        await settled(pilot)
        # Of its own line, and those over it that say how many are done.
        assert len(set(drawn)) <= 3
        assert any("↓F" in "".join(segment.text for segment in grid.render_line(y)) for y in drawn)
