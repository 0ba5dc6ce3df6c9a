"""Keys typed in one go, through a real pseudo-terminal."""

from __future__ import annotations

import pytest

from tests.terminal_bytes import changing_fleet, roost_in_terminal

AFTER = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"  # between breadcrumbs

pytestmark = pytest.mark.real


def test_a_command_typed_in_one_go_is_the_command() -> None:
    with changing_fleet(0, nodes=3) as fleet, roost_in_terminal(fleet) as terminal:
        terminal.wait_for("3 live", 20)
        terminal.send(":q\r")
        assert terminal.wait_exit(10) == 0


def test_what_follows_enter_goes_to_what_it_opened() -> None:
    """Down, open, back, filter: as fast as a hand that knows it."""
    with changing_fleet(0, nodes=3) as fleet, roost_in_terminal(fleet) as terminal:
        terminal.wait_for("3 live", 20)
        terminal.send("j\r")
        terminal.wait_for(f"{AFTER} node-0001", 10)
        terminal.press("escape")
        terminal.wait_until(lambda: f"{AFTER} node" not in terminal.screen_text(), "back", 10)
        terminal.send("/0002\r")
        terminal.wait_until(lambda: "node-0000" not in terminal.screen_text(), "filter", 10)
        assert "node-0002" in terminal.screen_text()
        terminal.send(":containers\r")
        terminal.wait_for("detector", 10)
