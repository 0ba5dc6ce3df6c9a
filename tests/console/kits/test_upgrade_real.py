"""An installed agent becomes another version, or goes back, on a whole machine."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from agent.protocol.decoding import from_json
from agent.protocol.kits import KitAbout
from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from tests.broken_kits import broken_kit
from tests.console.kits.machine_node import MachineNode
from tests.kits_made import other_version, small_kit
from tests.real.fixtures import MachineFactory

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PYTHON = "3.13"  # of trixie


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real kit for the machine's Python."""
    folder = tmp_path_factory.mktemp("kits")
    make_kit(folder, arch=os.uname().machine, pythons=(PYTHON,), say=lambda _line: None)
    return folder


@pytest.fixture
def first(kits: Path) -> Kit:
    return read_kit(next(kits.glob("roost-agent-*.pyz")))


@pytest.fixture
def node(machine_factory: MachineFactory, short_folder: Path) -> MachineNode:
    return MachineNode(machine_factory("machine-trixie"), short_folder)


@pytest.mark.runtimes
async def test_a_rollout_upgrades_the_agent_and_an_undo_brings_the_old_one_back(
    node: MachineNode, first: Kit, kits: Path
) -> None:
    await node.install(first)
    second = other_version(first.path, kits, "9.0")
    main = node.machine.enter("systemctl", "show", "-P", "MainPID", "roost-agent")
    went = await node.roost(
        *("agent", "upgrade", "@bare", "--kit", str(second), "--soak", "1s"), "--attached", "--yes"
    )
    assert "done: 1 done" in went
    shown = await node.shows(read_kit(second), on_trial=False)
    assert shown.last is not None
    assert (shown.last.outcome, shown.last.was) == ("done", first.about.id)
    assert node.current == read_kit(second).about.id
    # systemd saw nothing of it, and who is no root may call the new one.
    assert node.machine.enter("systemctl", "show", "-P", "MainPID", "roost-agent") == main
    assert node.machine.enter("systemctl", "show", "-P", "NRestarts", "roost-agent") == "0\n"
    told = node.machine.enter("runuser", "-u", "field", "--", "roost-agent", "--version")
    assert told.startswith("roost-agent 9.0 ")
    rollout = json.loads(await node.roost("rollout", "ls", "--json"))[0]["id"]
    await node.roost("rollout", "undo", rollout, "--yes")
    await node.roost("rollout", "runner", rollout)
    await node.shows(first, on_trial=False)
    assert node.current == first.about.id
    assert node.agents() == [first.about.id]


@pytest.mark.long
async def test_broken_kits_leave_the_agent_that_was(
    node: MachineNode, first: Kit, kits: Path, tmp_path: Path
) -> None:
    await node.install(first)
    whole = small_kit(tmp_path, version="2.0")
    truncated = tmp_path / "truncated"
    truncated.write_bytes(whole.read_bytes()[:-100])
    for path, code in (
        (small_kit(tmp_path, version="2.1", wheel=b"not what the list says"), "kit.broken"),
        (truncated, "kit.broken"),
        (small_kit(tmp_path, version="2.2", arch="s390x"), "kit.arch"),
    ):
        about = read_kit(whole).about
        if path != truncated:
            with zipfile.ZipFile(path) as file:
                about = from_json(file.read("kit.json"), KitAbout)
        kit = Kit(path, about, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        ended = await node.ended(await node.begin(kit))
        assert ended.problem is not None, path
        assert ended.problem.code == code
    assert (await node.shown()).last is None  # nothing was ever started
    how = "changes the schema and hangs"
    kit = read_kit(broken_kit(first.path, kits, how, "5.0"))
    ended = await node.ended(await node.begin(kit, within=4.0))
    assert ended.problem is not None
    assert ended.problem.code == "upgrade.returned"
    assert "it was not confirmed within 4 s" in ended.problem.detail
    await node.shows(first, on_trial=False)
    assert node.agents() == ["current"]
    assert not node.machine.path(f"/opt/roost/{kit.about.id}").exists()
    assert not node.machine.path("/var/lib/roost/agent.db.before").exists()


@pytest.mark.long
async def test_after_a_power_cut_at_any_step_one_agent_works(
    node: MachineNode, first: Kit, kits: Path
) -> None:
    await node.install(first)
    second = read_kit(other_version(first.path, kits, "9.0"))
    job = await node.begin(second)
    await node.staged(job, "unpacking")
    node.cut()
    # It goes on by itself, as any job that can.
    await node.shows(second, on_trial=True)
    node.cut()
    await node.shows(second, on_trial=True)
    assert node.current == first.about.id
    async with node.client() as client:
        await client.upgrades.confirm(second.about.id)
    node.cut()
    await node.shows(second, on_trial=False)
    assert (await node.ended(job)).state == "succeeded"
    assert node.current == second.about.id
    # One; by either name, as it was kept before the cut or after it.
    assert node.agents() in (["current"], [second.about.id])
