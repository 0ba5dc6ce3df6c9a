"""How far a node is: percent that does not go back, and time that is left."""

from __future__ import annotations

import pytest

from agent.protocol.images import Layer, WantedLayer
from console.images import progress as progress_module
from console.images.progress import Progress
from console.images.rate import Allowance, RateLimit, RateMeter

ONE = Layer(diff_id="sha256:" + "1" * 64, size_bytes=1000)
TWO = Layer(diff_id="sha256:" + "2" * 64, size_bytes=500)


def wanted(layer: Layer, received: int = 0) -> WantedLayer:
    return WantedLayer(diff_id=layer.diff_id, size_bytes=layer.size_bytes, received_bytes=received)


def test_what_is_done_does_not_go_back_in_a_cut() -> None:
    progress = Progress()
    progress.planned([wanted(ONE), wanted(TWO)])
    assert (progress.done_bytes, progress.total_bytes) == (0, 1500)
    assert progress.seconds_left is None
    progress.went(ONE, 400, 100)
    progress.went(TWO, 500, 120)
    assert (progress.done_bytes, progress.sent_bytes) == (900, 220)
    progress.planned([wanted(ONE, received=80)])  # the node has the other one
    assert (progress.done_bytes, progress.total_bytes) == (900, 1500)
    progress.went(ONE, 1000, 150)
    assert (progress.done_bytes, progress.sent_bytes) == (1500, 370)
    progress.planned([])
    assert progress.done_bytes == progress.total_bytes


def test_what_lay_there_before_is_done() -> None:
    progress = Progress()
    progress.planned([wanted(ONE, received=600)])
    assert progress.done_bytes == 600
    assert progress.sent_bytes == 0


def test_what_is_sent_anew_is_not_done() -> None:
    progress = Progress()
    progress.planned([wanted(ONE)])
    progress.went(ONE, 900, 900)
    progress.planned([wanted(ONE)])
    progress.went(ONE, 100, 100)
    assert progress.done_bytes == 100


def test_a_leap_over_what_was_there_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module, "RateMeter", lambda: RateMeter(clock=lambda: now))
    progress = Progress()
    progress.planned([wanted(ONE)])
    progress.went(ONE, 800, 50)
    now += 1
    assert progress.seconds_left is None
    progress.went(ONE, 850, 50)
    now += 1
    assert progress.seconds_left == pytest.approx(150 / 25)
    assert progress.bytes_per_second == pytest.approx(50)


async def test_an_allowance_is_taken_to_its_last_byte() -> None:
    allowance = Allowance(RateLimit(None), 300_000)
    taken = 0
    while not allowance.used_up:
        piece = allowance.piece_bytes
        await allowance.take(piece)
        taken += piece
    assert (taken, allowance.piece_bytes) == (300_000, 0)
    assert not Allowance(RateLimit(None)).used_up
