"""Trying again: until when, and after what not."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.images import patience as module
from console.images.patience import Patience
from tests.console.images.pushing import Hurry


class Clock:
    """What `patience` takes for time and sleep; only the test and pauses move it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "asyncio", clock)
    return clock


def cut() -> ProblemError:
    return ProblemError("link.unreachable", "it is cut", hint="Look.")


async def test_it_ends_when_nothing_came_through_for_too_long(clock: Clock) -> None:
    asked = 0

    async def question() -> None:
        nonlocal asked
        asked += 1
        clock.now += 30  # what a try takes
        raise cut()

    patience = Patience(give_up_seconds=100, random=Hurry())
    with pytest.raises(ProblemError) as raised:
        await patience.ask(question)
    assert asked == 5
    assert "for 120 s" in (raised.value.hint or "")


async def test_a_first_trouble_after_hours_is_a_first_trouble(clock: Clock) -> None:
    """One upload may take a night, and nothing is asked meanwhile."""
    patience = Patience(give_up_seconds=100, random=Hurry())
    clock.now += 10 * 3600
    await patience.pause(cut())
    patience.moved()
    clock.now += 3600
    await patience.pause(cut())
    clock.now += 101
    with pytest.raises(ProblemError):
        await patience.pause(cut())


@pytest.mark.parametrize("code", ["auth.role", "link.fingerprint", "space.full", "archive.changed"])
async def test_what_another_try_cannot_mend_is_told_at_once(clock: Clock, code: str) -> None:
    patience = Patience(random=Hurry())
    with pytest.raises(ProblemError) as raised:
        await patience.pause(ProblemError(code, "no"))
    assert raised.value.code == code
    assert clock.now == 1000.0


async def test_pauses_grow_to_a_bound_and_begin_anew(clock: Clock) -> None:
    class Whole(Hurry):
        def uniform(self, a: float, b: float) -> float:
            del a
            return b

    told: list[str | None] = []
    patience = Patience(random=Whole(), told=told.append)
    pauses = []
    for _ in range(8):
        before = clock.now
        await patience.pause(cut())
        pauses.append(clock.now - before)
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    patience.moved()
    before = clock.now
    await patience.pause(cut())
    assert clock.now - before == 0.25
    assert told == [*["it is cut"] * 8, None, "it is cut"]
