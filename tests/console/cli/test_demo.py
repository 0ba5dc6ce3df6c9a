"""`roost demo` as a process, and the children that it starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from agent.protocol.problems import ProblemError
from console.cli.children import AgentProcess, find_agent_command
from console.cli.demo import command, own_name
from console.fleet.fleet_file import NAME
from console.rollouts.journal import Journal
from console.rollouts.supervisor import supervision

DEMO = [sys.executable, "-c", "from console.cli.demo import command; command()", "--no-tui"]

pytestmark = pytest.mark.timeout(60)  # it starts three Python processes


@contextlib.contextmanager
def demo(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A running demo of a user whose home is `home`, and its fleet.yaml."""
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    with subprocess.Popen(
        [*DEMO, *options], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def facts(address: str) -> dict[str, dict[str, object]]:
    transport = httpx.HTTPTransport(uds=address.removeprefix("unix://"))
    with httpx.Client(transport=transport, base_url="http://node", timeout=20) as client:
        while (answer := client.get("/v1/node")).status_code == 503:
            time.sleep(0.05)  # the real agent is still starting
    answer.raise_for_status()
    found: dict[str, dict[str, object]] = answer.json()
    return found


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def gone(folder: Path) -> bool:
    """Whether the folder is removed within forty seconds, which only a child that ends does."""
    for _ in range(800):
        if not folder.exists():
            return True
        time.sleep(0.05)
    return False


def test_the_demo_is_this_machine_and_simulated_nodes_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--nodes=3", "--faults=none") as (process, file):
        nodes = yaml.safe_load(file.read_text())["nodes"]
        names = [node["name"] for node in nodes]
        here = own_name(socket.gethostname())
        assert names == [here, "plant-1-t4", "plant-2-a10", "plant-3-rtx4090"]
        assert min(names) == here  # the interface sorts by name: it is seen at once
        assert nodes[1]["labels"] == {"site": "plant-1", "gpu": "t4", "simulated": "true"}
        assert file.parent.stat().st_mode & 0o777 == 0o700
        told = [facts(node["address"]) for node in nodes]
        assert [each["agent"]["simulated"] for each in told] == [False, True, True, True]
        assert told[0]["host"]["kernel"] == os.uname().release
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert not file.parent.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(180)  # its rollouts are watched for some seconds at each step
def test_the_demo_has_a_rollout_of_each_sort_and_ends_them(tmp_path: Path) -> None:
    with demo(tmp_path, "--nodes=8", "--faults=none") as (process, file):
        journal = Journal(file.parent / "rollouts")
        while not (len(found := journal.rollouts()) == 3 and "canary" in found[0].counts()):
            time.sleep(0.2)
            assert process.poll() is None
        under_way, came_back, done = found
        assert (under_way.state, came_back.state, done.state) == ("running", "failed", "done")
        assert {each.release for each in (under_way, came_back, done)} == {"simulated-video"}
        assert came_back.counts() == {"reverted": 1, "skipped": 1}
        assert "accuracy" in came_back.why
        assert under_way.counts() == {"canary": 1, "planned": 5}
        there = supervision(file.parent / "rollouts")
        assert there is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(there.pid, 0)
    assert not file.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_the_demo_says_how_it_goes_before_it_starts_anything(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with pytest.raises(ProblemError) as caught:
        command.main([], standalone_mode=False)
    assert caught.value.code == "console.terminal"
    assert "--no-tui" in (caught.value.hint or "")
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize("hostname", ["vm", "a_b c", "-", "x" * 64, "edge.", ""])
def test_any_host_has_a_name_in_the_demo(hostname: str) -> None:
    assert NAME.fullmatch(own_name(hostname))
    assert own_name(hostname).startswith("here")


def test_kill_9_leaves_nothing_either(tmp_path: Path) -> None:
    with demo(tmp_path, "--nodes=2") as (process, file):
        sockets = [
            node["address"].removeprefix("unix://")
            for node in yaml.safe_load(file.read_text())["nodes"]
        ]
        while len(children := children_of(process.pid)) < 3:  # the rollouts' own comes last
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert gone(file.parent)
        assert all(gone(Path("/proc", child)) for child in children)
    for path in sockets:
        with socket.socket(socket.AF_UNIX) as caller, pytest.raises(OSError, match="No such file"):
            caller.connect(path)


def test_a_folder_that_vanishes_at_the_start_is_a_problem_and_no_traceback(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_line = AgentProcess.read_line

    def vanishing(self: AgentProcess, timeout_seconds: float) -> bytes | None:
        line = read_line(self, timeout_seconds)
        shutil.rmtree(next(short_folder.glob("roost-demo-*")))
        return line

    monkeypatch.setattr(AgentProcess, "read_line", vanishing)
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with pytest.raises(ProblemError) as caught:
        command.main(["--nodes=1", "--no-tui"], standalone_mode=False)
    assert caught.value.code == "demo.simulator"
    assert "No such file" in caught.value.detail
    assert "Run it again" in (caught.value.hint or "")


def test_without_roost_agent_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProblemError) as caught:
        find_agent_command()
    assert caught.value.code == "console.agent_missing"
    assert "pip install" in (caught.value.hint or "")


def test_a_child_that_fails_leaves_its_last_words() -> None:
    with AgentProcess(["simulate", "--folder=/nowhere", "--nodes=0"]) as child:
        assert child.read_line(20) is None
        assert "--nodes" in child.last_words()


def test_a_child_that_says_nothing_is_not_waited_for(short_folder: Path) -> None:
    with AgentProcess(["simulate", f"--folder={short_folder}", "--nodes=1"]) as child:
        assert child.read_line(20) is not None
        assert child.read_line(0.1) is None
        assert not child.ended
    assert child.ended
