"""`roost rollout plan --archive` and what comes of it, on simulated nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.deployments import DeployPlan, PlannedWorkload
from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.problems import ProblemError
from console.cli.rollout_plan_text import plan_text
from console.fleet.inventory import NodeEntry
from console.rollouts.needed_engines import NeededEngine
from console.rollouts.needs import NeededImage, NodeNeeds
from console.rollouts.record import Rollout, RolloutNode
from console.rollouts.strategy import Strategy
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import Done, roost, write_fleet
from tests.simulated import simulator_process

pytestmark = pytest.mark.timeout(60)

LAYER = layer("app", 20_000)


@pytest.fixture(scope="module")
def entries() -> Iterator[list[NodeEntry]]:
    with simulator_process(3, faults=False) as simulator:
        yield msgspec.convert(msgspec.to_builtins(simulator.nodes.nodes), list[NodeEntry])


class Side:
    """A person with a fleet of three, and of one node that is away."""

    def __init__(self, home: Path, entries: list[NodeEntry]) -> None:
        self.home = home
        away = NodeEntry(name="away", address=f"unix://{home}/nowhere.sock", labels={"to": "none"})
        self.fleet = write_fleet(home / "fleet.yaml", [*entries, away])
        self.names = [entry.name for entry in entries]
        self.file, self.archive = home / "app.yaml", home / "app.tar"

    def release(self, image: str, service: Any = None, **rollout: Any) -> Path:
        more = {"soak": "1s", "min_healthy": "0s", "max_unavailable": 3}
        given = {"waves": [{"nodes": 1}], **more, **rollout}
        service = {"image": image, "x-roost": {"soak": "0s"}, **(service or {})}
        document = {"name": "app", "x-roost": {"rollout": given}, "services": {"web": service}}
        self.file.write_text(json.dumps(document))
        return self.file

    def archived(self, *tags: str) -> Path:
        self.archive.write_bytes(docker_archive([Made([LAYER], tags=[tag]) for tag in tags]))
        return self.archive

    def roost(self, *arguments: str | Path) -> Done:
        state = {"ROOST_STATE": str(self.home / "state")}
        return roost(self.home, "--fleet", self.fleet, "rollout", *arguments, env=state)


@pytest.fixture
def side(tmp_path: Path, entries: list[NodeEntry]) -> Side:
    return Side(tmp_path, entries)


def test_what_is_tcp_is_never_judged_to_be_well(side: Side) -> None:
    tcp: dict[str, Any] = {
        "ports": ["9000:9000"],
        "x-roost": {"soak": "0s", "strategy": "weighted", "mode": "tcp"},
    }
    to = f"@{side.names[0]}"
    for number in (1, 2):
        tcp["environment"] = {"NUMBER": str(number)}
        file = side.release("edge/gateway:1.9.0", tcp, weights=[50, 100])
        plan = side.roost("plan", file, "--to", to)
        assert plan.code == 0, plan
        said = " ".join(plan.out.split())
        assert "web: port 9000 is TCP: errors and p99 cannot be judged" in said
        assert "Judge it by what can be seen" in said
        told = side.roost("plan", file, "--to", to, "--json").json["unjudged"]
        assert "web: port 9000 is TCP: errors and p99 cannot be judged" in told[0]
        [newest, *_] = side.roost("ls", "--json").json
        options = ["--detach"] if number == 2 else []
        done = side.roost("start", newest["id"], *options)
        assert done.code == 0, done
    while newest["state"] == "planned" or newest["state"] == "running":
        time.sleep(0.5)
        [newest, *_] = side.roost("ls", "--json").json
    assert newest["state"] == "paused"
    assert "errors cannot be judged: port 9000 is TCP" in newest["why"]
    [node] = newest["nodes"]
    assert (node["stage"], node["judged"], node["weight"]) == ("canary", "inconclusive", 50)
    done = side.roost("abort", newest["id"], "-y")
    assert side.roost("ls", "--json").json[0]["state"] == "aborted", done


def test_images_come_from_the_archive_before_anything_changes(side: Side) -> None:
    file, archive = side.release("edge/new:1"), side.archived("edge/new:1")
    to = ",".join(f"@{name}" for name in side.names)
    plan = side.roost("plan", file, "--to", to, "--archive", archive, "--json")
    assert plan.code == 0, plan
    needs = plan.json["needs"]
    assert {name: each["send_bytes"] for name, each in needs.items()} == dict.fromkeys(
        side.names, len(LAYER)
    )
    (kept,) = plan.json["rollout"]["archives"]
    assert (kept["path"], kept["size_bytes"]) == (str(archive), archive.stat().st_size)
    done = side.roost("start", plan.json["id"])
    assert done.code == 0, done
    said = [line.split(maxsplit=1)[1].split(":")[0] for line in done.out.splitlines()]
    for name in side.names:
        parts = [line.removeprefix(f"{name} ") for line in said if line.startswith(name)]
        assert parts[:4] == ["preparing", "gets images", "prepared", "applying"]
        assert parts[-2:] == ["confirming", "done"]


def test_a_node_that_lacks_an_image_cannot_take_it(side: Side) -> None:
    file, first = side.release("edge/none:1"), side.names[0]
    nobody = side.roost("plan", file, "--to", f"@{first}")
    assert nobody.code == 1
    assert "image edge/none:1 is not on this node" in nobody.err
    wrong = side.roost("plan", file, "--to", f"@{first}", "--archive", side.archived("edge/x:1"))
    assert (wrong.code, "edge/none:1" in wrong.err) == (1, True)


def test_a_wave_of_nodes_that_are_not_there(side: Side) -> None:
    file = side.release("edge/gateway:1.9.0", waves=[{"selector": "@nobody"}])
    done = side.roost("plan", file, "--to", f"@{side.names[0]}")
    assert done.code == 1
    assert "@nobody" in done.err


def test_an_engine_that_nobody_can_build(side: Side) -> None:
    file = side.release("edge/gateway:1.9.0")
    document = json.loads(file.read_text())
    document["services"]["web"]["x-roost"]["engine"] = {"model": "detector"}
    file.write_text(json.dumps(document))
    done = side.roost("plan", file, "--to", f"@{side.names[0]}")
    assert done.code == 1
    assert "nothing is built on it" in done.err


def needs_of(name: str, *, send: int = 0, build: float | None = None) -> NodeNeeds:
    planned = PlannedWorkload(
        name="web",
        action="replace",
        image="edge/app:1",
        strategy="stop-then-start",
        downtime="from the stop of the old container until the new one answers",
    )
    recipe = EngineRecipe(model="detector", onnx="/m.onnx")
    engine = NeededEngine(
        workload="web", model="detector", build=BuildRequest(recipe=recipe), seconds=build
    )
    return NodeNeeds(
        plan=DeployPlan(release="app", workloads=[planned]),
        images=[NeededImage(workload="web", image=f"edge/app:1-{name}")] if send else [],
        send_bytes=send,
        engines=[engine] if build else [],
    )


def test_the_table_fits_80_columns() -> None:
    names = ["plant-1-t4", "a-node-with-a-long-name", "silent", "cannot"]
    rollout = Rollout(
        id="r1",
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=0.0,
        strategy=Strategy(),
        nodes=[
            RolloutNode(name=name, wave=number, why="no GPU" if name == "cannot" else "")
            for number, name in enumerate(names)
        ],
    )
    rollout.nodes[3].stage = "cannot"
    said: dict[str, NodeNeeds | ProblemError] = {
        names[0]: needs_of("cuda118", send=40 << 20, build=240.0),
        names[1]: needs_of(""),
        names[2]: ProblemError("link.timeout", "nothing came"),
    }
    lines = list(plan_text(rollout, said, limit=80))
    start = next(n for n, line in enumerate(lines) if line.startswith("NODE"))
    table = lines[start : start + 4]
    assert max(map(len, table)) <= 80, table
    assert table[1].split()[0] == "plant-1-t4"
    for words in ("40 MiB", "build, 4m", "restart"):
        assert words in table[1]
    assert "nothing" in table[2]
    assert "no answer" in table[3]
    assert "to send before compression: 40 MiB in all, to 1 node" in lines
    assert "to build: 1 engine; the longest took 4m before" in lines
    assert lines[-1] == "cannot cannot take it: no GPU"
