"""Quiet hours: when they are, on which clock, and a push that waits for their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.protocol.problems import ProblemError
from console.images import quiet as quiet_module
from console.images import rate
from console.images.push import Push
from console.images.quiet import LEAST_SECONDS, Quiet, parse_quiet
from console.images.rate import Allowance, RateLimit
from tests.console.images.pushing import (
    MIB,
    archive_of,
    client_over,
    image_agent,
    made,
    noise,
    push_over,
)
from tests.console.serving import ServedAgent
from tests.waiting import until

pytestmark = pytest.mark.timeout(60)

BERLIN = "Europe/Berlin"


def moment(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Clock:
    """Stands at a moment, until a test sets it."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def quiet_at(hours: str, at: float, zone: str | None = BERLIN) -> Quiet:
    made = Quiet(parse_quiet(hours.split()), clock=Clock(at))
    made.zone = zone
    return made


@pytest.mark.parametrize(
    ("hours", "now", "hours_left"),
    [
        ("06:00-22:00", "2026-03-02 05:59", 0),
        ("06:00-22:00", "2026-03-02 06:00", 16),
        ("06:00-22:00", "2026-03-02 21:30", 0.5),
        ("06:00-22:00", "2026-03-02 22:00", 0),
        ("22:00-06:00", "2026-03-02 23:00", 7),
        ("22:00-06:00", "2026-03-02 05:00", 1),
        ("22:00-06:00", "2026-03-02 12:00", 0),
        ("00:00-24:00 ", "2026-03-02 12:00", None),
        ("20:00-24:00", "2026-03-02 23:00", 1),
        ("06:00-08:00 07:00-12:00", "2026-03-02 07:30", 4.5),
        # The night of summer time has no 02:30: six hours by the wall are five.
        ("22:00-06:00", "2026-03-29 00:00", 5),
        ("22:00-06:00", "2026-10-25 00:00", 7),
    ],
)
def test_how_long_it_is_quiet(hours: str, now: str, hours_left: float | None) -> None:
    if hours_left is None:
        with pytest.raises(ProblemError):
            parse_quiet(hours.split())
        return
    assert quiet_at(hours, moment(now)).seconds_left == pytest.approx(hours_left * 3600)


def test_it_is_by_the_nodes_own_wall() -> None:
    now = moment("2026-03-02 23:00", "UTC")
    assert quiet_at("22:00-06:00", now, "UTC").seconds_left == 7 * 3600
    assert quiet_at("22:00-06:00", now, "Asia/Tokyo").seconds_left == 0  # 08:00 there
    there = quiet_at("22:00-06:00", now, "America/New_York")  # 18:00 there
    assert (there.seconds_left, there.text) == (0, "")
    assert quiet_at("22:00-06:00", now).text == "quiet hours until 06:00 (Europe/Berlin)"
    unknown = quiet_at("00:00-12:00 12:00-23:59", now, "Nowhere/Atlantis")
    assert unknown.seconds_left == 0 or unknown.text.endswith("(this console's time)")


def test_the_hour_that_comes_twice_ends() -> None:
    """At 02:30 for the second time, an end at 02:45 was over once already."""
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(BERLIN), fold=1).timestamp()
    assert quiet_at("01:00-02:45", second).seconds_left == LEAST_SECONDS


@pytest.mark.parametrize(
    "wrong", ["", "6-22", "06:00", "06:00-06:00", "24:30-05:00", "06:60-07:00", "25:00-26:00", "x"]
)
def test_what_are_no_hours(wrong: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_quiet([wrong])
    assert (caught.value.code, bool(caught.value.hint)) == ("console.usage", True)


async def test_an_allowance_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "QUIET_LOOK_SECONDS", 0.01)
    clock = Clock(moment("2026-03-02 12:00"))
    quiet = Quiet(parse_quiet(["06:00-22:00"]), clock=clock)
    quiet.zone = BERLIN
    allowance = Allowance(RateLimit(None), None, quiet)
    assert (allowance.stopped, allowance.used_up, allowance.piece_bytes) == (True, False, 0)
    told: list[str | None] = []
    waiting = asyncio.create_task(allowance.until_loud(told.append))
    await until(lambda: bool(told))
    clock.at = moment("2026-03-02 22:00")
    assert await waiting
    assert told[0] == "quiet hours until 22:00 (Europe/Berlin)"
    assert told[-1] is None
    assert (allowance.stopped, await allowance.until_loud()) == (False, False)


@pytest.fixture
async def agent(short_folder: Path) -> AsyncIterator[ServedAgent]:
    async with image_agent(short_folder) as agent:
        yield agent


async def test_a_push_stops_amid_a_layer_and_goes_on(
    agent: ServedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a byte is sent twice, and none while it is quiet."""
    monkeypatch.setattr(rate, "QUIET_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(quiet_module, "LEAST_SECONDS", 0.01)
    image = made("app:1", noise("base", 2 * MIB), noise("app", MIB))
    archive = await asyncio.to_thread(archive_of, tmp_path / "app.tar", image)
    clock = Clock(moment("2026-03-02 05:00", "UTC"))
    client = client_over(agent.socket)
    quiet = Quiet(parse_quiet(["06:00-22:00"]), clock=clock)
    pushes: list[Push] = []

    def seen() -> None:
        [push] = pushes
        if push.state.stage == "sending" and push.state.sent_bytes > MIB and not push.state.note:
            clock.at = max(clock.at, moment("2026-03-02 12:00", "UTC"))

    push = push_over(client, archive, quiet=quiet, on_change=seen)
    pushes.append(push)
    running = asyncio.create_task(push.run())
    await until(lambda: bool(push.state.note))
    assert "quiet hours until" in (push.state.note or "")
    assert push.state.stage == "waiting"
    total = sum(map(len, image.layers))
    stopped_at = push.state.sent_bytes
    # What was taken before the clock struck is on its way; no piece after it.
    assert stopped_at < total
    await asyncio.sleep(0.1)
    assert push.state.sent_bytes == stopped_at
    clock.at = moment("2026-03-02 22:30", "UTC")
    state = await running
    await client.close()
    assert (state.problem, state.stage, state.note) == (None, "done", None)
    assert state.sent_bytes == total
