"""A rollout of agents over three nodes, all over https: done, or ended by its first wave."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from tests.broken_kits import broken_kit
from tests.console.kits.corner_agents import CornerAgent, CornerConsole
from tests.kits_made import other_version

pytestmark = [pytest.mark.real("corner"), pytest.mark.long, pytest.mark.timeout(500)]
NODES = ("a", "b", "c")
UPGRADE = ("agent", "upgrade", "site=x", "--soak", "1s", "--attached", "--yes", "--kit")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("kit")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    arch = os.uname().machine
    return read_kit(make_kit(folder, arch=arch, pythons=[python], say=lambda _line: None)[0])


@pytest.fixture
def roost(kit: Kit, short_folder: Path) -> Iterator[CornerConsole]:
    with ExitStack() as stack:
        agents = []
        for name in NODES:
            agents.append(CornerAgent(name, short_folder / name, kit.path))
            stack.callback(agents[-1].corner.close)
        yield CornerConsole(short_folder, agents)


def test_wave_by_wave_or_not_at_all(roost: CornerConsole, kit: Kit, tmp_path: Path) -> None:
    second = other_version(kit.path, tmp_path, "9.0")
    went = roost(*UPGRADE, str(second))
    assert went.returncode == 0, went.stdout + went.stderr
    assert "done: 3 done" in went.stdout + went.stderr
    new = read_kit(second).about.id
    assert [each.current for each in roost.agents] == [new] * 3

    # Its first wave is one node; that goes back, and the others never hear of it.
    broken = broken_kit(kit.path, tmp_path, "crashes at import", "9.1")
    went = roost(*UPGRADE, str(broken))
    assert went.returncode == 1
    assert "there_is_no_such_module" in went.stdout + went.stderr
    assert [each.current for each in roost.agents] == [new] * 3
    tried = [each.name for each in roost.agents if "9.1" in each.log.read_text()]
    assert len(tried) == 1

    # All of them back to what they were, from what they kept.
    rollouts = json.loads(roost("rollout", "ls", "--json").stdout)
    first = next(each["id"] for each in rollouts if each["state"] == "done")
    undone = roost("rollout", "undo", first, "--yes")
    assert undone.returncode == 0, undone.stderr
    back = roost("rollout", "runner", first)
    told = undone.stdout + undone.stderr + back.stdout + back.stderr
    told += roost("rollout", "history", first).stdout
    assert [each.current for each in roost.agents] == [kit.about.id] * 3, told
