"""A container's log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.protocol.containers import LogLine
from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.screens.logs import LogsScreen
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import make_node, some_log
from tests.console.tui.showing import fleet_of, settled


def logs_app(make_app: MakeApp, lines: list[LogLine], *, goes_on: bool = True) -> RoostApp:
    app = make_app([make_node("cam-01", containers=1)], first="logs @cam-01 detector")
    client = fleet_of(app).clients["cam-01"]
    client.log, client.log_goes_on = lines, goes_on
    return app


def view_of(app: RoostApp) -> LogsScreen:
    view = app.view
    assert isinstance(view, LogsScreen)
    return view


async def painted(pilot: object, app: RoostApp) -> str:
    """Without waiting for the paint that comes a moment after the lines."""
    await settled(pilot)  # type: ignore[arg-type]
    view_of(app)._paint_now()
    return await settled(pilot)  # type: ignore[arg-type]


async def test_it_follows_the_end(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await painted(pilot, app)
        assert "following  280-300 of 300" in text
        assert "frame 299" in text
        assert "logs cam-01/detector" in text


async def test_the_log_s_own_name_is_what_stays_of_the_crumbs(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        view, glyphs = view_of(app), app.context.look.glyphs
        own, between = "logs cam-01/detector", f" {glyphs.crumb} "
        assert view.crumbs(80)[0][0] == f"fleet{between}{own}"
        assert view.crumbs(24)[0][0] == f"{glyphs.more}{between}{own}"
        assert view.crumbs(21)[0][0] == own


async def test_moving_up_holds_it_and_end_follows_again(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("up", "up")
        assert "PAUSED  278-298 of 300" in await settled(pilot)
        view_of(app).buffer.add([LogLine(text="one more")])
        view_of(app)._paint_now()
        text = await settled(pilot)
        assert "278-298 of 301" in text
        assert "one more" not in text
        await pilot.press("G")
        text = await settled(pilot)
        assert "following" in text
        assert "one more" in text
        await pilot.press("p")
        assert "PAUSED" in await settled(pilot)
        await pilot.press("pageup", "home")
        assert " 1-21 of 301" in await settled(pilot)


async def test_find_next_and_previous(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("f", *"dropped", "enter")
        text = await settled(pilot)
        assert "find dropped" in text
        assert "WARN dropped frame 287" in text
        await pilot.press("N")
        assert "WARN dropped frame 247" in await settled(pilot)
        await pilot.press("n")
        assert "WARN dropped frame 287" in await settled(pilot)
        await pilot.press("n")
        text = await settled(pilot)
        assert "Found from the top on again." in text
        assert "WARN dropped frame 7:" in text
        await pilot.press("N")
        text = await settled(pilot)
        assert "Found from the end on again." in text
        assert "WARN dropped frame 287" in text
        await pilot.press("f", *"frame", "space", *"287:", "enter", "n")
        assert "There is no other place." in await settled(pilot)
        await pilot.press("f", *"nowhere", "enter")
        assert "nowhere is not found." in await settled(pilot)


async def test_filter_and_its_opposite(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"dropped", "enter")
        text = await settled(pilot)
        assert "1-8 of 8" in text
        assert "detections" not in text
        await pilot.press("slash", "ctrl+u", *"!dropped", "enter")
        text = await settled(pilot)
        assert "of 292" in text
        await pilot.press("escape")
        assert "of 300" in await settled(pilot)


async def test_long_lines_are_cut_scrolled_or_wrapped(make_app: MakeApp) -> None:
    app = logs_app(make_app, [LogLine(text="a" * 70 + "b" * 70 + "the end")])
    async with app.run_test(size=(80, 24)) as pilot:
        text = await painted(pilot, app)
        assert "the end" not in text
        assert "…" in text
        await pilot.press(*["right"] * 10)
        assert "the end" in await settled(pilot)
        await pilot.press("w")
        text = await settled(pilot)
        assert "wrap" in text
        assert "a" * 70 + "b" * 10 in text
        assert "b" * 60 + "the end" in text


async def test_times_can_be_shown(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("t")
        assert "10:00:02 frame 2" in await settled(pilot)


async def test_since_reads_again(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(3))
    asked: list[str | None] = []
    client = fleet_of(app).clients["cam-01"]
    before = client.logs

    def logs(name: str, *, follow: bool, since: str | None, tail: int | None) -> object:
        asked.append(since)
        return before(name, follow=follow, since=since, tail=tail)

    client.logs = logs  # type: ignore[method-assign, assignment]
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("i", *"10m", "enter")
        assert "since 10m" in await painted(pilot, app)
        await pilot.press("i", "ctrl+u", *"10x", "enter")
        text = await settled(pilot)
        assert "'10x' is no time" in text
        assert "frame 2 " in text
        assert "since 10m" in text
        await pilot.press("i")
        assert "(10m, 2h, a time; empty: the end): 10m" in await settled(pilot)
    assert asked == [None, "10m"]


async def test_what_is_shown_can_be_saved(make_app: MakeApp, tmp_path: Path) -> None:
    app = logs_app(make_app, some_log(300))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"dropped", "enter", "e")
        await settled(pilot)
        app.view.query_one("Line").value = str(tmp_path / "x.log")  # type: ignore[attr-defined]
        await pilot.press("enter")
        assert "8 lines saved to" in await settled(pilot)
    lines = (tmp_path / "x.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("2026-05-04T10:00:07.5Z WARN dropped frame 7")


async def test_escape_codes_and_huge_lines_reach_the_screen_as_text(make_app: MakeApp) -> None:
    lines = [
        LogLine(text="\x1b[31mred\x1b[0m \x1b]0;title\x07after"),
        LogLine(text="bell\x07 [bold]not markup[/bold]"),
        LogLine(text="x" * 1_000_000),
        LogLine(text="cut by the agent", cut_bytes=2**20),
    ]
    app = logs_app(make_app, lines)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await painted(pilot, app)
        assert "red after" in text
        assert "bell\\x07 [bold]not markup[/bold]" in text
        assert "cut by the agent [cut here: 1.0 MiB more]" in text
        assert view_of(app).buffer.characters < 20_000


async def test_a_container_that_is_not_there(make_app: MakeApp) -> None:
    app = logs_app(make_app, [])
    fleet_of(app).clients["cam-01"].fails = ProblemError(
        "container.not_found", "no container is called detector", hint="Look at :containers."
    )
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "no container is called detector" in text
        await pilot.press("escape", "escape")
        await settled(pilot)
        assert app.view.command.view == "fleet"


async def test_a_cut_is_said_and_lines_are_not_told_twice(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(3))
    client = fleet_of(app).clients["cam-01"]
    async with app.run_test(size=(100, 24)) as pilot:
        await painted(pilot, app)
        view = view_of(app)
        assert len(view.buffer) == 3
        view.buffer.add(view.buffer.without_known([*client.log, LogLine(text="new")]))
        assert [kept.text for kept in view.buffer.shown][-1] == "new"
        assert len(view.buffer) == 4
        client.fails = ProblemError("link.unreachable", "cut")
        view.run_worker(view.read_log(), group="log", exclusive=True, exit_on_error=False)
        await pilot.pause(0.1)
        assert "cut (link.unreachable), trying again" in await settled(pilot)
        assert "frame 2" in await settled(pilot)


@pytest.mark.parametrize("since", [None, "10m"])
async def test_after_a_cut_it_goes_on_from_the_last_line(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, since: str | None
) -> None:
    asked: list[tuple[str | None, int | None]] = []

    async def logs(
        name: str, *, follow: bool, since: str | None, tail: int | None
    ) -> AsyncGenerator[list[LogLine], None]:
        asked.append((since, tail))
        if len(asked) == 1:
            raise ProblemError("link.unreachable", "cut before a line came")
        if len(asked) == 2:
            yield some_log(3)
            raise ProblemError("link.unreachable", "cut after some")
        yield some_log(4)[2:]
        raise ProblemError("container.not_found", "it is gone")

    monkeypatch.setattr("console.tui.screens.log_reader._RETRY_SECONDS", 0.0)
    app = logs_app(make_app, [])
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        monkeypatch.setattr(fleet_of(app).clients["cam-01"], "logs", logs)
        view = view_of(app)
        view.since = since
        view.read_again()
        reading = [worker for worker in app.workers if not worker.is_cancelled]
        await app.workers.wait_for_complete(reading)
        text = await settled(pilot)
        first = (None, 500) if since is None else (since, None)
        assert asked == [first, first, (some_log(3)[-1].at, None)]
        assert [kept.text for kept in view.buffer.shown] == [line.text for line in some_log(4)]
        assert "it is gone" in text  # and that is final


async def test_a_log_that_ends_says_so(make_app: MakeApp) -> None:
    app = logs_app(make_app, some_log(3), goes_on=False)
    async with app.run_test(size=(80, 24)) as pilot:
        assert " ended  1-3 of 3" in await painted(pilot, app)
