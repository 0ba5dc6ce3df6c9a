"""A rollout that brings image and engine first, and a runner that is killed amid both."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from tests import onnx_made
from tests.agent.engines.engine_side import stand_in
from tests.agent.workloads.workload_side import SERVES, SMI
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

NEW = "edge/detector:2"


@pytest.fixture(scope="module")
def engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """A Docker Engine with a runtime named nvidia, which is runc."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        runc = shutil.which("runc")
        engine = DockerEngine(enclosure, {"runtimes": {"nvidia": {"path": runc}}})
        engine.start()
        engine.load_busybox()
        yield engine


class Side:
    """A real agent whose builder waits for a file, and a person with an archive of an image."""

    def __init__(self, engine: DockerEngine, agent: AgentProcess, home: Path, built: Path) -> None:
        self.engine, self.agent, self.home, self.built = engine, agent, home, built
        self.journal = Journal(home / "state")
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        self.fleet = write_fleet(home / "fleet.yaml", [entry])
        self.smi = agent.folder / "nvidia-smi"
        self.smi.write_text(SMI)
        self.smi.chmod(0o755)

    def roost(self, *arguments: str | Path) -> Done:
        state = {"ROOST_STATE": str(self.journal.folder)}
        return roost(self.home, "--fleet", self.fleet, "rollout", *arguments, env=state)

    def archive(self) -> Path:
        """The image as a file; the node has it no more."""
        file = self.agent.folder / "detector.tar"
        container = self.engine.docker("create", "--label=new=yes", IMAGE, "sh").strip()
        self.engine.docker("commit", container, NEW)
        self.engine.docker("rm", container)
        self.engine.docker("save", "--output", str(file), NEW)
        self.engine.docker("rmi", NEW)
        return file

    def release(self) -> Path:
        (self.home / "m.onnx").write_bytes(onnx_made.detector(blocks=1))
        rollout = {"waves": [], "soak": "0s", "min_healthy": "0s"}
        service = {
            "image": NEW,
            "command": SERVES,
            "volumes": [f"{self.smi}:/bin/nvidia-smi:ro"],
            "x-roost": {
                "soak": "0s",
                "gpu": {"select": "least-memory"},
                "engine": {"onnx": str(self.home / "m.onnx"), "executor": "host"},
            },
        }
        document = {
            "name": "app",
            "x-roost": {"rollout": rollout},
            "services": {"detector": service},
        }
        file = self.home / "app.yaml"
        file.write_text(json.dumps(document))
        return file

    def node(self, rollout: str) -> tuple[str, str]:
        """Its stage, and what is said of it."""
        (node,) = self.journal.load(rollout).nodes
        return node.stage, node.why

    def jobs(self, kind: str) -> list[Any]:
        return [job for job in self.agent.get("/v1/jobs") if job["kind"] == kind]

    def kill_runner(self, rollout: str) -> None:
        """With -9."""
        [number] = self.runners(rollout)
        os.kill(number, signal.SIGKILL)

    def runners(self, rollout: str) -> list[int]:
        """Processes that have the rollout's id and this journal."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            mine = f"ROOST_STATE={self.journal.folder}".encode() in environment
            if mine and words[-4:-1] == [b"rollout", b"runner", rollout.encode()]:
                found.append(int(process.name))
        return found


@pytest.fixture
def side(engine: DockerEngine, short_folder: Path, tmp_path: Path) -> Iterator[Side]:
    built = tmp_path / "may-be-built"
    waits = f"while not pathlib.Path({str(built)!r}).exists():\n    time.sleep(0.05)"
    settings = {
        "runtime": engine.url,
        "engines": {"python": str(stand_in(short_folder, waits))},
    }
    with AgentProcess(short_folder, settings, gpus=1) as agent:
        made = Side(engine, agent, tmp_path, built)
        yield made
        for each in made.journal.rollouts():  # one that failed may have left its runner
            for number in made.runners(each.id):
                os.kill(number, signal.SIGKILL)
    engine.clear()


def test_image_and_engine_come_first_and_a_killed_runner_repeats_nothing(side: Side) -> None:
    archive = side.archive()
    plan = side.roost("plan", side.release(), "--to", "@dock", "--archive", archive)
    assert plan.code == 0, plan
    assert "to build: 1 engine" in plan.out
    assert NEW in plan.out
    again = side.roost("plan", side.release(), "--to", "@dock", "--archive", archive, "--json")
    rollout = str(again.json["id"])
    needs = again.json["needs"]["dock"]
    assert [each["state"] for each in needs["images"]] == ["load"]
    assert [each["workload"] for each in needs["engines"]] == ["detector"]
    assert side.jobs("image.load") == side.jobs("engine.build") == []

    # The archive is away: somebody took the stick out.
    away = archive.with_suffix(".away")
    archive.rename(away)
    started = side.roost("start", rollout, "--detach")
    assert started.code == 0, started
    wait_until(lambda: str(archive) in side.node(rollout)[1])
    side.kill_runner(rollout)
    away.rename(archive)
    assert side.roost("retry", rollout).code == 1  # it is under way; nobody steers it
    assert side.roost("pause", rollout).code == 0
    wait_until(lambda: side.journal.load(rollout).state == "paused")
    assert side.roost("resume", rollout).code == 0
    wait_until(lambda: [job["state"] for job in side.jobs("engine.build")] == ["running"])
    assert side.node(rollout)[0] == "preparing"
    # Nothing that runs was touched, and the next runner finds the build.
    assert side.engine.docker("ps", "--quiet") == ""
    side.kill_runner(rollout)
    side.built.touch()
    ended = side.roost("runner", rollout)
    assert ended.code == 0, ended
    assert side.node(rollout)[0] == "done"
    assert [job["state"] for job in side.jobs("image.load")] == ["succeeded"]
    assert [job["state"] for job in side.jobs("engine.build")] == ["succeeded"]
    assert len(side.jobs("workload.deploy")) == 1
    label = side.engine.docker("inspect", "--format", '{{index .Config.Labels "new"}}', "detector")
    assert label.strip() == "yes"
    inside = side.engine.docker("exec", "detector", "sh", "-c", "ls $ROOST_ENGINE")
    assert inside.strip().endswith("model.plan")

    reused = side.roost("plan", side.release(), "--to", "@dock", "--archive", archive)
    assert "reuse" in reused.out
    assert "to build" not in reused.out
    assert "to send" not in reused.out


def test_without_the_archive_the_node_cannot_take_it(side: Side) -> None:
    side.archive()
    refused = side.roost("plan", side.release(), "--to", "@dock")
    assert refused.code == 1
    assert f"image {NEW} is not on this node" in refused.err
