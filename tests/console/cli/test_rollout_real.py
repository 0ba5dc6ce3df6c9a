"""`roost rollout` to a real agent over a real Docker Engine, with a runner of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from tests.agent.workloads.workload_side import SERVES
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROLLOUT = {"waves": [{"nodes": 1}], "soak": "1s", "confirm_within": "20s"}


@pytest.fixture(scope="module")
def engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        engine.load_busybox()
        yield engine


class Side:
    """Two agents over one engine would be one node: so one node, and one that is away."""

    def __init__(self, engine: DockerEngine, agent: AgentProcess, home: Path) -> None:
        self.engine, self.agent, self.home = engine, agent, home
        self.journal = Journal(home / "state")
        self.fleet = write_fleet(
            home / "fleet.yaml",
            [
                NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}"),
                NodeEntry(name="far", address=f"unix://{home}/nowhere.sock"),
            ],
        )

    def roost(self, *arguments: str | Path) -> Done:
        state = {"ROOST_STATE": str(self.journal.folder)}
        return roost(self.home, "--fleet", self.fleet, *arguments, env=state)

    def release(self, value: str, *, command: list[str] | None = None, **rollout: Any) -> Path:
        file = self.home / "app.yaml"
        service = {
            "image": IMAGE,
            "command": command or SERVES,
            "environment": {"VALUE": value},
            "x-roost": {"soak": "0s"},
        }
        file.write_text(
            json.dumps(
                {
                    "name": "app",
                    "x-roost": {"rollout": {**ROLLOUT, **rollout}},
                    "services": {"web": service},
                }
            )
        )
        return file

    def plan(self, file: Path, selector: str = "@dock") -> str:
        done = self.roost("rollout", "plan", file, "--to", selector, "--json")
        assert done.code == 0, done
        found: str = done.json["id"]
        return found

    def value(self) -> str:
        """What the running container has."""
        config = json.loads(self.engine.docker("inspect", "web"))[0]
        assert config["State"]["Running"]
        (found,) = [each for each in config["Config"]["Env"] if each.startswith("VALUE=")]
        return str(found).removeprefix("VALUE=")


@pytest.fixture
def side(engine: DockerEngine, short_folder: Path, tmp_path: Path) -> Iterator[Side]:
    with AgentProcess(short_folder, {"runtime": engine.url}) as agent:
        yield Side(engine, agent, tmp_path)
    engine.clear()


def test_a_release_goes_out_a_bad_one_comes_back_and_undo(side: Side) -> None:
    plan = side.roost("rollout", "plan", side.release("one"), "--to", "@dock,@far")
    assert plan.code == 0, plan
    assert "wave 1, 1 node: dock" in plan.out
    assert "wave 2, 1 node: far" in plan.out
    assert "far:\n  does not answer now; it is tried when its turn comes" in plan.out
    first = side.plan(side.release("one"))
    assert side.engine.docker("ps", "--quiet") == ""
    done = side.roost("rollout", "start", first)
    assert (done.code, done.err.splitlines()[-1]) == (0, "done: 1 done"), done
    assert "dock judged: pass: web: restarts 0" in done.out
    said = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if " judged: " not in line]
    assert said[-4:] == ["wave 1 runs, and is watched", "dock confirming", "dock done", "done"]
    assert side.value() == "one"

    second = side.plan(side.release("two", command=["sh", "-c", "echo oh no; exit 4"]))
    failed = side.roost("rollout", "start", second)
    assert failed.code == 1
    assert "dock reverted" in failed.out
    assert failed.err.splitlines()[-1] == "failed: 1 reverted"
    assert side.value() == "one"

    third = side.plan(side.release("three"))
    assert side.roost("rollout", "start", third).code == 0
    assert side.value() == "three"
    undone = side.roost("rollout", "undo", third, "--yes")
    assert (undone.code, undone.err.splitlines()[-1]) == (0, "undone: 1 reverted"), undone
    assert side.value() == "one"
    listed = side.roost("rollout", "ls", "--json").json
    assert [each["state"] for each in listed] == ["undone", "failed", "done", "planned"]


def test_a_runner_killed_at_a_gate_is_taken_up_by_a_wish(side: Side) -> None:
    rollout = side.plan(side.release("one", gate="manual", confirm_within="10m"))
    started = side.roost("rollout", "start", rollout, "--detach")
    assert started.code == 0, started
    wait_until(lambda: side.journal.load(rollout).state == "gate")
    os.kill(runner_of(side, rollout), signal.SIGKILL)
    wait_until(lambda: "nobody steers it" in side.roost("rollout", "status", rollout).err)
    promoted = side.roost("rollout", "promote", rollout)
    assert promoted.code == 0, promoted
    assert side.roost("rollout", "watch", rollout).code == 0
    assert side.value() == "one"
    shown = side.roost("rollout", "history", rollout)
    assert "running by " in shown.out


def test_without_a_runner_the_node_goes_back_by_itself(side: Side) -> None:
    assert side.roost("rollout", "start", side.plan(side.release("one"))).code == 0
    rollout = side.plan(side.release("two", gate="manual", confirm_within="5s"))
    assert side.roost("rollout", "start", rollout, "--detach").code == 0
    wait_until(lambda: side.journal.load(rollout).state == "gate")
    assert side.value() == "two"
    assert side.agent.get("/v1/workloads")[0]["state"] == "running"  # the new one is
    os.kill(runner_of(side, rollout), signal.SIGKILL)
    wait_until(lambda: side.agent.get("/v1/workloads")[0]["deployment_state"] == "reverted")
    assert side.value() == "one"
    ended = side.roost("rollout", "runner", rollout)
    assert (ended.code, ended.err.splitlines()[-1].split(":")[0][:6]) == (1, "failed")


def test_what_is_refused(side: Side) -> None:
    bad = side.roost("rollout", "plan", side.release("one", wafes=[]), "--to", "@dock")
    assert (bad.code, "unknown key 'wafes' in x-roost.rollout" in bad.err) == (1, True)
    first = side.plan(side.release("one", gate="manual", confirm_within="10m"))
    second = side.plan(side.release("two"))
    assert side.roost("rollout", "start", first, "--detach").code == 0
    held = side.roost("rollout", "start", second)
    assert (held.code, f"rollout {first} (app)" in held.err) == (1, True)
    assert side.roost("rollout", "resume", first).code == 1
    ended = side.roost("rollout", "abort", first)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("aborted: 1 ")


def test_where_nothing_ran_before_that_is_said(side: Side) -> None:
    bad = side.release("one", command=["sh", "-c", "exit 4"])
    failed = side.roost("workload", "apply", bad, "--to", "@dock", "--yes")
    assert failed.code == 1
    assert "Nothing ran there before, and nothing does now" in failed.err


def runner_of(side: Side, rollout: str) -> int:
    """Its process id: whoever runs with that rollout's id and this journal."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        mine = f"ROOST_STATE={side.journal.folder}".encode() in environment
        if mine and words[-4:-1] == [b"rollout", b"runner", rollout.encode()]:
            return int(process.name)
    raise AssertionError("no runner is at work")
