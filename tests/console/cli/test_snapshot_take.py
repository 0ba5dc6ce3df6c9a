"""`roost snapshot take` and files that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import roost, write_fleet

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("verb", [("snapshot", "take"), ("node", "support")])
def test_a_file_that_is_there_stays_unless_it_is_said(tmp_path: Path, verb: tuple[str]) -> None:
    away = NodeEntry(name="away", address=f"unix://{tmp_path}/nowhere.sock")
    fleet = write_fleet(tmp_path / "fleet.yaml", [away])
    file = tmp_path / "mine"
    file.write_text("my own")
    done = roost(tmp_path, "--fleet", fleet, *verb, "away", "-o", file)
    assert done.code == 2
    assert "mine is there already" in done.err
    assert "--force" in done.err
    assert file.read_text() == "my own"
    # With it, the node is asked, which is away.
    done = roost(tmp_path, "--fleet", fleet, *verb, "away", "-o", file, "--force")
    assert "is there already" not in done.err
    assert done.code == 3
