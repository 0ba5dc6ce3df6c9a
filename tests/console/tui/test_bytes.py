"""The byte budget of the terminal, through a real pseudo-terminal at 80x24 over SSH.

The limits are the project's own: a stock Textual table writes 10.7 KB/s at this load.
"""

from __future__ import annotations

import pytest

from tests.terminal_bytes import NODES, measure_terminal_bytes

START_LIMIT_BYTES = 12 * 1024
STEADY_LIMIT_BYTES = 350


@pytest.mark.real
def test_twenty_changes_a_second_stay_within_the_budget() -> None:
    measured = measure_terminal_bytes(20)
    assert "node-0001" in measured.screen
    assert measured.start <= START_LIMIT_BYTES
    # Something must have changed on the screen, or nothing was measured.
    assert 20 <= measured.steady_per_second <= STEADY_LIMIT_BYTES


@pytest.mark.real
def test_a_fleet_in_which_nothing_changes_writes_nothing() -> None:
    measured = measure_terminal_bytes(0)
    assert f"{NODES} live" in measured.screen
    assert measured.steady_per_second == 0
