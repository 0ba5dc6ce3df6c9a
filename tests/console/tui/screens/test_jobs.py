"""Jobs across the fleet, and one of them with its log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agent.protocol.jobs import Job, JobLogLine
from agent.protocol.problems import Problem, ProblemError
from console.fleet.picture import NodeView
from console.tui.app import RoostApp
from console.tui.screens.job import JobScreen
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import GIB, NOW, make_node, put_job
from tests.console.tui.showing import fleet_of, settled, table_of, type_command

FULL = Problem(code="space.full", title="Full", detail="no room", status=507, hint="Free some.")


def busy_nodes() -> list[NodeView]:
    """Two nodes with jobs in most states; b is not live."""
    a, b = make_node("a", containers=1), make_node("b", state="stale", seen_ago=200)
    put_job(a, "j1", "succeeded", ago=7200, result={"detector:1.4": "sha256:1234"})
    put_job(a, "j2", ago=300, stage="receiving", done=GIB // 4, total=GIB, owner="jo@plant")
    put_job(a, "j3", "failed", ago=600, subject="web:2", problem=FULL)
    put_job(a, "j4", "queued", ago=60, kind="image.remove", subject="old:1", reason="gpu:1 is busy")
    put_job(b, "j5", "running", ago=4000, stage="loading", unit="items", done=2, total=5)
    put_job(b, "j6", "interrupted", ago=90, reason="the agent was stopped")
    return [a, b]


def lines(count: int) -> list[JobLogLine]:
    return [JobLogLine(number=n, at=NOW, text=f"layer {n} is here") for n in range(1, count + 1)]


def keys_of_rows(app: RoostApp) -> list[str]:
    return [row.key for row in table_of(app).model.shown]


async def test_what_runs_comes_first_then_what_waits_then_what_ended_last(
    make_app: MakeApp,
) -> None:
    app = make_app(busy_nodes(), first="jobs")
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
        assert keys_of_rows(app) == ["a/j2", "b/j5", "a/j4", "b/j6", "a/j3", "a/j1"]
        rows = [" ".join(line.split()) for line in text.splitlines()[3:9]]
    assert rows[0].endswith("a detector:1.4 image.load running, receiving 25% of 1.0G 5m jo@plant")
    assert "running, loading 2 of 5 1h 3m maria@depot" in rows[1]
    assert rows[2].endswith("image.remove queued -- 1m maria@depot gpu:1 is busy")
    assert rows[3].endswith("the agent was stopped")
    assert rows[4].endswith("failed 10m maria@depot no room")
    assert rows[5].endswith("detector:1.4 sha256:1234")


@pytest.mark.parametrize("size", [(60, 14), (80, 24)])
async def test_it_fits_a_small_terminal(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(busy_nodes(), first="jobs")
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        assert "receiving" in text
        assert "25%" in text
        assert "jo@plant" in text
        assert "1-6 of 6" in text


async def test_kinds_that_begin_alike_are_told_apart_where_they_do_not_fit(
    make_app: MakeApp,
) -> None:
    node = make_node("a")
    for number, kind in enumerate(("workload.deploy", "workload.revert", "image.load")):
        put_job(node, f"j{number}", "succeeded", kind=kind, subject="web", ago=number)
    app = make_app([node], first="jobs")
    async with app.run_test(size=(80, 24)) as pilot:
        rows = [line.split()[1:4] for line in (await settled(pilot)).splitlines()[3:6]]
        assert [kind for _, kind, _ in rows] == ["deploy", "revert", "image.load"]


def waiting_nodes() -> list[NodeView]:
    """Nobody sends to the first job; the others ended before they were through."""
    a = make_node("a")
    put_job(
        a,
        "j1",
        ago=7200,
        stage="no sender",
        done=GIB // 4,
        total=GIB,
        deadline_at=NOW + 82_900,
        reason="nobody sends its layers now",
    )
    half: dict[str, object] = {"stage": "receiving", "done": GIB // 2, "total": GIB}
    put_job(a, "j2", "cancelled", ago=600, subject="web:2", reason="cancelled by jo", **half)
    put_job(a, "j3", "failed", ago=900, subject="web:3", problem=FULL, **half)
    put_job(a, "j4", "succeeded", ago=950, subject="web:4", **half)
    return [a]


@pytest.mark.parametrize("width", [80, 200])
async def test_who_nobody_sends_to_says_how_long_it_waits(make_app: MakeApp, width: int) -> None:
    app = make_app(waiting_nodes(), first="jobs")
    async with app.run_test(size=(width, 24)) as pilot:
        text = await settled(pilot)
        line = " ".join(text.splitlines()[3].split())
        assert "no sender 25%" in line
        assert "2h 23h" in line  # for two hours, and 23 more
        assert "FOR WAITS" in " ".join(text.splitlines()[2].split())


async def test_what_it_waits_for_and_until_when(make_app: MakeApp) -> None:
    app = make_app(waiting_nodes(), first="job @a j1")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.view, JobScreen)
        app.view._paint_now()
        text = await settled(pilot)
        assert "state     running, no sender, 25% of 1.0G, for 2h" in text
        assert "waits     until 2026-05-05" in text
        assert "(23h more), and keeps its space" in text
        assert "reason    nobody sends its layers now" in text
        assert "deadline" not in text


@pytest.mark.parametrize(("width", "told"), [(80, "50%"), (200, "ended at 50%")])
async def test_how_far_came_what_did_not_succeed(make_app: MakeApp, width: int, told: str) -> None:
    app = make_app(waiting_nodes(), first="jobs")
    async with app.run_test(size=(width, 24)) as pilot:
        lines = [" ".join(line.split()) for line in (await settled(pilot)).splitlines()[4:7]]
        assert f"cancelled {told} 10m" in lines[0]
        assert f"failed {told} 15m" in lines[1]
        assert "succeeded 15m" in lines[2]
        text = await type_command(pilot, "job @a j2")
        assert isinstance(app.view, JobScreen)
        app.view._paint_now()
        text = await settled(pilot)
        assert "state     cancelled, ended at 50% of 1.0G, in stage receiving, for 10m" in text


async def test_it_is_live(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs")
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        fleet = fleet_of(app)
        fleet.nodes["a"].sections["jobs"]["j2"].update(done=GIB // 2, stage="loading")
        fleet.changed.add("a")
        app.tick()
        text = await settled(pilot)
        assert "50% of 1.0G" in text
        assert "loading" in text.splitlines()[3]


async def test_the_fleet_counts_what_runs_and_b_shows_it(make_app: MakeApp) -> None:
    app = make_app(busy_nodes())
    async with app.run_test(size=(80, 24)) as pilot:
        assert "3 jobs running" in await settled(pilot)
        await pilot.press("b")
        await settled(pilot)
        assert app.view.crumb == "jobs @a"
        assert keys_of_rows(app) == ["a/j2", "a/j4", "a/j3", "a/j1"]


async def test_from_the_node_too(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="node a")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "jobs 4" in await settled(pilot)
        await pilot.press("tab", "tab", "enter")
        await settled(pilot)
        assert app.view.crumb == "job a/j2"
        await pilot.press("escape", "b")
        await settled(pilot)
        assert app.view.crumb == "jobs @a"


async def test_enter_shows_the_job_whole_and_follows_its_log(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs")
    fleet_of(app).clients["a"].job_lines = lines(3)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.view, JobScreen)
        app.view._paint_now()
        text = await settled(pilot)
        assert "state     running, receiving, 25% of 1.0G, for 5m" in text
        assert "by        jo@plant, 2026-05-04" in text
        assert "layer 3 is here" in text
        assert "following" in text
        fleet_of(app).nodes["a"].sections["jobs"]["j2"]["stage"] = "verifying"
        fleet_of(app).changed.add("a")
        app.tick()
        assert "state     running, verifying" in await settled(pilot)


async def test_after_a_cut_its_log_goes_on_from_the_last_line(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    again = asyncio.Event()

    async def job_log(
        name: str, *, follow: bool, after: int
    ) -> AsyncGenerator[list[JobLogLine] | Job, None]:
        asked.append(after)
        if after == 0:
            yield lines(3)
            raise ProblemError("link.unreachable", "cut")
        again.set()
        yield lines(4)[3:]
        await asyncio.Event().wait()

    monkeypatch.setattr("console.tui.screens.log_reader._RETRY_SECONDS", 0.0)
    app = make_app(busy_nodes(), first="jobs")
    monkeypatch.setattr(fleet_of(app).clients["a"], "job_log", job_log)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await again.wait()
        await settled(pilot)
        view = app.view
        assert isinstance(view, JobScreen)
        assert asked == [0, 3]
        assert len(view.buffer) == 4
        asked.clear()
        view.read_again()
        await settled(pilot)
        assert asked[0] == 0


async def test_a_job_that_has_ended_says_how(make_app: MakeApp) -> None:
    app = make_app(busy_nodes())
    fleet_of(app).clients["a"].job_lines = lines(2)
    async with app.run_test(size=(60, 14)) as pilot:
        await type_command(pilot, "job @a j3")
        assert isinstance(app.view, JobScreen)
        app.view._paint_now()
        text = await settled(pilot)
        assert "state     failed, for 10m" in text
        assert "problem   no room (space.full)" in text
        assert "do        Free some." in text
        assert "layer 2 is here" in text
        assert "failed  1-2 of 2" in " ".join(text.splitlines()[1].split("   "))


async def test_a_job_that_the_picture_no_longer_has_is_asked_for(make_app: MakeApp) -> None:
    app = make_app(busy_nodes())
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "job @a gone")
        assert "there is no job gone" in text
        assert "job.not_found" in text


@pytest.mark.parametrize("command", ["job", "job @a", "job @nowhere j1"])
async def test_a_job_without_a_name(make_app: MakeApp, command: str) -> None:
    app = make_app(busy_nodes())
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Type :job @NODE ID" in await type_command(pilot, command)


async def test_cancel_asks_first_with_cancel_focused(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs")
    client = fleet_of(app).clients["a"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        text = await settled(pilot)
        assert "End image.load of detector:1.4 on a?" in text
        assert "now  running receiving 25% of 1.0G" in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        await settled(pilot)
        assert client.asked == []
        await pilot.press("x", "tab", "enter")
        text = await settled(pilot)
        assert "image.load of detector:1.4 is cancelling on a" in text
        assert client.asked == [("cancel", "j2")]


async def test_on_production_the_node_has_to_be_typed(make_app: MakeApp) -> None:
    gate = make_node("gate", production=True)
    put_job(gate, "j1")
    app = make_app([gate])
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "job @gate j1")
        await pilot.press("x")
        text = await settled(pilot)
        assert "PRODUCTION: gate" in text
        assert "Type gate to go on:" in text
        await pilot.press(*"gate", "enter")
        assert "is cancelling on gate" in await settled(pilot)
    assert fleet_of(app).clients["gate"].asked == [("cancel", "j1")]


async def test_marked_jobs_together(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("asterisk", "x")
        text = await settled(pilot)
        assert "End 3 jobs on 2 nodes?" in text
        await pilot.press(*"end", "space", "3", "enter")
        assert "end: all 3 are done" in await settled(pilot)
    clients = fleet_of(app).clients
    assert sorted(clients["a"].asked) == [("cancel", "j2"), ("cancel", "j4")]
    assert clients["b"].asked == [("cancel", "j5")]


async def test_one_that_fails_is_told_and_the_others_are_done(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs")
    fleet_of(app).clients["b"].fails = ProblemError("link.timeout", "b did not answer")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("asterisk", "x", *"end", "space", "3", "enter")
        text = await settled(pilot)
        assert "end failed for 1 of 3 jobs" in text
        assert "b: b did not answer" in text
    assert len(fleet_of(app).clients["a"].asked) == 2


async def test_again_makes_a_new_job_of_one_that_failed(make_app: MakeApp) -> None:
    app = make_app(busy_nodes())
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "jobs @a /web")
        await pilot.press("a", "tab", "enter")
        assert "image.load of web:2 is queued as new5 on a" in await settled(pilot)
        await type_command(pilot, "job @a j1")
        await pilot.press("a")
        assert "It is succeeded: there is nothing to do again." in await settled(pilot)
        await pilot.press("x")
        assert "It is succeeded: there is nothing to cancel." in await settled(pilot)
    assert fleet_of(app).clients["a"].asked == [("retry", "j3")]


async def test_read_only_refuses(make_app: MakeApp) -> None:
    app = make_app(busy_nodes(), first="jobs", read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        assert "This console is read-only: no cancel here." in await settled(pilot)
        await pilot.press("a")
        assert "This console is read-only: no again here." in await settled(pilot)
    assert fleet_of(app).clients["a"].asked == []
