"""When a node is tried again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import CODES
from console.fleet.back_off import MOST_SECONDS, REFUSALS, REFUSED_SECONDS, BackOff


@given(st.integers())
def test_waits_double_up_to_a_minute_with_jitter(seed: int) -> None:
    back_off = BackOff(Random(seed))
    for step in range(12):
        whole = min(2.0**step, MOST_SECONDS)
        assert whole / 2 <= back_off.after("link.unreachable") <= whole
    back_off.reset()
    assert back_off.after("link.unreachable") <= 1.0


def test_what_needs_a_person_is_tried_rarely() -> None:
    back_off = BackOff(Random(1))
    waits = [back_off.after(code) for code in sorted(REFUSALS)]
    assert min(waits) >= REFUSED_SECONDS / 2
    assert len(set(waits)) == len(waits)
    # It was no failure of the link.
    assert back_off.after("link.unreachable") <= 1.0


def test_every_refusal_is_a_code() -> None:
    assert set(CODES) >= REFUSALS
