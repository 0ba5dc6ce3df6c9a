"""When the console collects its garbage."""

from __future__ import annotations

import pytest

from console.tui import collecting
from console.tui.collecting import FULL_EVERY_SECONDS, QUIET_SECONDS, Collector


class FakeGc:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.thresholds: tuple[int, ...] = ()

    def disable(self) -> None:
        self.asked.append("disable")

    def enable(self) -> None:
        self.asked.append("enable")

    def freeze(self) -> None:
        self.asked.append("freeze")

    def set_threshold(self, *thresholds: int) -> None:
        self.thresholds = thresholds

    def collect(self) -> None:
        self.asked.append("collect")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeGc:
    fake = FakeGc()
    monkeypatch.setattr(collecting, "gc", fake)
    return fake


def test_nothing_is_collected_until_the_first_paint(fake: FakeGc) -> None:
    collector = Collector()
    collector.hold_off()
    assert fake.asked == ["disable"]
    collector.begin(100.0)
    assert fake.asked == ["disable", "freeze", "enable"]
    assert len(fake.thresholds) == 3


def test_a_full_collection_waits_until_nobody_types(fake: FakeGc) -> None:
    collector = Collector()
    collector.begin(0.0)
    fake.asked.clear()
    due = FULL_EVERY_SECONDS
    collector.look(due - 1, typed_at=0.0)
    collector.look(due + 1, typed_at=due)
    assert fake.asked == []
    collector.look(due + QUIET_SECONDS, typed_at=due)
    assert fake.asked == ["collect"]
    collector.look(due + QUIET_SECONDS + 1, typed_at=due)
    assert fake.asked == ["collect"]
