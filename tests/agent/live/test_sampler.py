"""The sampler when time passes unevenly and when a reader is stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.live.history import HistoryStore
from agent.live.sampler import Sampler
from agent.protocol.telemetry import HostSample
from tests.agent.doubles import FixedGpus, FixedHost, FixedRuntime


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class StuckHost(FixedHost):
    """Its disk does not answer until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0

    def sample(self) -> HostSample:
        self.asked += 1
        self.let_go.wait()
        return super().sample()


def make(
    host: FixedHost | None = None, clock: Callable[[], float] | None = None
) -> tuple[Sampler, HistoryStore]:
    history = HistoryStore()
    sampler = Sampler(
        gpu=FixedGpus(),
        host=host or FixedHost(),
        runtime=FixedRuntime(),
        history=history,
        on_tick=lambda: None,
        in_thread=host is not None,
        clock=clock or Clock(),
        host_limit_seconds=0.05,
    )
    return sampler, history


def busy(history: HistoryStore) -> list[float | None]:
    (series,) = history.series("1s", metric="cpu_percent")
    return series.values


async def test_seconds_without_a_sample_are_gaps_in_the_history() -> None:
    clock = Clock()
    sampler, history = make(clock=clock)
    told = [sampler.sampled]
    for passed in (0.0, 1.0, 3.2, 0.8):
        clock.now += passed
        await sampler.tick()
    assert [*told, sampler.sampled] == [False, True]
    assert busy(history) == [12.0, 12.0, None, None, 12.0, 12.0]


async def test_samples_a_little_late_do_not_move_the_history() -> None:
    clock = Clock()
    sampler, history = make(clock=clock)
    for _ in range(9):
        await sampler.tick()
        clock.now += 1.25
    # Ten seconds have passed, and nine samples were taken.
    assert len(busy(history)) == 11
    assert busy(history).count(None) == 2


async def test_a_long_halt_is_an_hour_of_gaps_at_most() -> None:
    clock = Clock()
    sampler, history = make(clock=clock)
    await sampler.tick()
    clock.now += 10 * 24 * 3600
    await sampler.tick()
    (minutes,) = history.series("1m", metric="cpu_percent")
    assert len(minutes.values) == 60
    await sampler.tick()
    assert len(history.series("1m", metric="cpu_percent")[0].values) == 60


async def test_a_stuck_disk_does_not_stop_the_gpus() -> None:
    host = StuckHost()
    sampler, _ = make(host)
    try:
        for _ in range(3):
            await sampler.tick()
            latest = sampler.latest
            assert latest.gpus[0].utilization_percent == 40.2
            assert latest.host.cpu_percent is None
            assert latest.host.unknown["cpu_percent"] == "no_answer"
        assert host.asked == 1  # no second thread goes the same way
    finally:
        host.let_go.set()
    while sampler.latest.host.cpu_percent is None:
        await sampler.tick()
    assert sampler.latest.host.unknown == {}


def test_the_newest_minute_is_as_old_as_the_one_that_runs() -> None:
    history = HistoryStore()
    for _ in range(130):
        history.put({("host", "cpu_percent"): 1.0})
    assert history.age_seconds("1m") == 10
    assert history.age_seconds("1s") == 0
