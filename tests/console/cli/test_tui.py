"""`roost` without a command, on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.cli.shells import shell_command
from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import ROOST, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("noun", [[], ["tui", "--lean"]])
def test_it_opens_shows_the_fleet_and_leaves_the_picture(
    tmp_path: Path, fleet: Path, noun: list[str]
) -> None:
    command: list[str | Path] = [ROOST, "--fleet", fleet, *noun]
    with Terminal(command, env=environment(tmp_path), columns=100) as terminal:
        terminal.wait_until(
            lambda: any(
                "plant-1-t4" in line and "live" in line
                for line in terminal.emulator.lines_of_text()
            ),
            "a live node",
            30,
        )
        terminal.send(":q\r")
        assert terminal.wait_exit(20) == 0
    assert list((tmp_path / "cache" / "roost").glob("picture-*.json"))


def test_the_shell_of_a_container_is_our_own_exec(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.touch()
    entry = NodeEntry(name="cam", address="https://cam")
    assert shell_command(fleet, entry, "abc") == [
        *(sys.executable, "-m", "console.cli.main", "--fleet", str(fleet)),
        *("container", "exec", "-it", "cam", "abc", "--", "sh"),
    ]


def test_the_shell_of_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/dash")
    monkeypatch.delenv("ROOST_SSH", raising=False)
    fleet = tmp_path / "none.yaml"
    unix = NodeEntry(name="here", address="unix:///run/roost/agent.sock")
    assert shell_command(fleet, unix, None) == ["/bin/dash"]
    ssh = NodeEntry(name="cam", address="ssh://ops@cam:2222")
    assert shell_command(fleet, ssh, None) == ["ssh", "-t", "-p", "2222", "ops@cam"]
    monkeypatch.setenv("ROOST_SSH", "ssh -F ./site.conf")
    assert shell_command(fleet, ssh, None)[:4] == ["ssh", "-F", "./site.conf", "-t"]
    with pytest.raises(ProblemError, match="https"):
        shell_command(fleet, NodeEntry(name="cam", address="https://cam"), None)
