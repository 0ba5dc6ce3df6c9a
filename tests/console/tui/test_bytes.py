"""The byte budget of the terminal, through a real pseudo-terminal at 80x24 over SSH.

The limits are the project's own: a stock Textual table writes 10.7 KB/s at this load.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.console.tui.fake_desk import FakeDesk, keep, tell
from tests.console.tui.screens.test_rollouts import many
from tests.terminal import Terminal
from tests.terminal_bytes import NODES, measure_terminal_bytes

START_LIMIT_BYTES = 12 * 1024
STEADY_LIMIT_BYTES = 350
# When the nodes were asked is said in tens of seconds.
MATRIX_STEADY_LIMIT_BYTES = 30
SIDEWAYS_LIMIT_BYTES = 2500
CELL_LIMIT_BYTES = 400


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


@pytest.mark.real
@pytest.mark.timeout(60)
def test_images_of_300_nodes_are_quiet_and_move_for_little() -> None:
    """The figures of the nodes change all the time; no cell of the matrix does."""
    command: list[str | Path] = [sys.executable, "-m", "tests.console.tui.demo_app", "300", "20"]
    env = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}
    with Terminal([*command, "--view=images"], env=env, cwd=Path(__file__).parents[3]) as terminal:
        terminal.wait_for("of 300>", 40)
        terminal.wait_for("read 10s ago", 40)
        start = time.monotonic()
        time.sleep(8)
        steady = terminal.bytes_between(start, start + 8) / 8
        assert steady <= MATRIX_STEADY_LIMIT_BYTES
        assert "0000   0001" in terminal.screen_text()
        start = time.monotonic()
        terminal.send(">")
        terminal.wait_for("<7-12 of 300>", 20)
        terminal.wait_for("0006   0007", 20)
        assert terminal.bytes_between(start, time.monotonic()) <= SIDEWAYS_LIMIT_BYTES


@pytest.mark.real
@pytest.mark.timeout(60)
def test_placement_stays_within_the_budget() -> None:
    """Each GPU has its containers below it: fewer figures are seen at once than of the fleet."""
    command: list[str | Path] = [sys.executable, "-m", "tests.console.tui.demo_app", "50", "20"]
    env = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}
    view = "--view=placement"
    with Terminal([*command, view], env=env, cwd=Path(__file__).parents[3]) as terminal:
        terminal.wait_for("read 10s ago", 40)
        start = time.monotonic()
        time.sleep(8)
        steady = terminal.bytes_between(start, start + 8) / 8
        assert 5 <= steady <= STEADY_LIMIT_BYTES
        assert "node-0001" in terminal.screen_text()
        start = time.monotonic()
        terminal.send("jm")
        terminal.wait_for("node-0000 has no other GPU", 20)
        assert terminal.bytes_between(start, time.monotonic()) <= SIDEWAYS_LIMIT_BYTES


@pytest.mark.real
@pytest.mark.timeout(60)
def test_what_300_nodes_can_run_is_quiet_and_the_cursor_moves_for_little() -> None:
    """The figures of the nodes change all the time; what they can run does not."""
    command: list[str | Path] = [sys.executable, "-m", "tests.console.tui.demo_app", "300", "20"]
    env = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}
    with Terminal([*command, "--view=compat"], env=env, cwd=Path(__file__).parents[3]) as terminal:
        terminal.wait_for("of 300>", 40)
        terminal.wait_for("on node-0000: ", 40)
        terminal.wait_for("read 10s ago", 40)
        start = time.monotonic()
        time.sleep(8)
        steady = terminal.bytes_between(start, start + 8) / 8
        assert steady <= MATRIX_STEADY_LIMIT_BYTES
        start = time.monotonic()
        terminal.send("h\x1b[C")  # one to the right, where it already was at the left end
        terminal.wait_for("on node-0001: ", 20)
        assert terminal.bytes_between(start, time.monotonic()) <= CELL_LIMIT_BYTES
        start = time.monotonic()
        terminal.send(">")
        terminal.wait_for("on node-0007: ", 20)
        assert terminal.bytes_between(start, time.monotonic()) <= SIDEWAYS_LIMIT_BYTES


@pytest.mark.real
@pytest.mark.timeout(60)
def test_a_rollout_of_500_nodes_writes_little_while_nodes_go_on(short_folder: Path) -> None:
    """A node comes further each second; of that a few cells, a count and an event are written."""
    rollout, desk = many(), FakeDesk(short_folder / "state")
    keep(desk, rollout)
    command: list[str | Path] = [sys.executable, "-m", "tests.console.tui.demo_app", "50", "20"]
    env = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}
    options = ["--view=rollout", f"--journal={desk.journal().folder}"]
    with Terminal([*command, *options], env=env, cwd=Path(__file__).parents[3]) as terminal:
        terminal.wait_for("499 planned", 40)
        terminal.wait_for("planned by maria", 20)
        start = time.monotonic()
        for number in range(1, 9):
            rollout.nodes[number].stage = "preparing"
            tell(desk, rollout, f"{rollout.nodes[number].name} preparing")
            time.sleep(1)
        terminal.wait_for("8 preparing", 20)
        steady = terminal.bytes_between(start, time.monotonic()) / 8
        assert 5 <= steady <= STEADY_LIMIT_BYTES
        start = time.monotonic()
        terminal.send("\x1b[C")  # one to the right
        terminal.wait_for("n2-0  preparing", 20)
        assert terminal.bytes_between(start, time.monotonic()) <= CELL_LIMIT_BYTES
