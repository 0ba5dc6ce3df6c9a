"""The detector lets an application update out: built, pushed as one small layer, a full canary."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import ROOST, Done, environment, write_fleet
from tests.detector_made import colour_detector
from tests.images.detector_side import Built, build
from tests.images.loading import load_on
from tests.real import gateway_image
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.real("haproxy"),
    pytest.mark.long,
    pytest.mark.timeout(580),
]

PORT = 8080
STEPS = {
    "waves": [{"nodes": 1}],
    "soak": "2s",
    "weights": [25, 100],
    "analysis": {"conditions": [{"error_rate": {"at_most": "2%", "least": 20}}, "restarts"]},
}


class Side:
    """One real agent over the engine that has the image, and a person's home."""

    def __init__(self, built: Built, agent: AgentProcess, home: Path) -> None:
        self.built, self.agent, self.home = built, agent, home
        self.models = agent.folder / "models"
        self.models.mkdir(mode=0o755)
        (self.models / "detector.onnx").write_bytes(colour_detector())
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        self.fleet = write_fleet(home / "fleet.yaml", [entry])

    def roost(self, *arguments: str | Path) -> Done:
        state = {"ROOST_STATE": str(self.home / "state")}
        # No limit of its own: each step of a canary waits for a health check.
        done = subprocess.run(
            [ROOST, "--fleet", self.fleet, *arguments],
            env=environment(self.home, state),
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def release(self, image: str, **environment: str) -> Path:
        """What `roost release new` writes, with the test's own places and times."""
        file = self.home / "detector.yaml"
        file.unlink(missing_ok=True)
        made = self.roost("release", "new", "detector", "-o", file, "--image", image)
        assert made.code == 0, made
        document: dict[str, Any] = yaml.safe_load(file.read_text())
        document["x-roost"]["rollout"] = STEPS
        service = document["services"]["detector"]
        service["volumes"] = [f"{self.models}:/models:ro"]
        service["environment"] |= environment
        service["x-roost"] |= {"soak": "1s", "start_deadline": "30s"}
        file.write_text(json.dumps(document))
        return file

    def let_out(self, file: Path) -> Done:
        planned = self.roost("rollout", "plan", file, "--to", "@dock", "--json")
        assert planned.code == 0, planned
        return self.roost("rollout", "start", planned.json["id"])

    def running(self) -> str:
        """The id of the image that the workload's container was made from."""
        return self.built.engine.docker("inspect", "--format", "{{.Image}}", "detector")


@pytest.fixture
def side(detector_image: Built, short_folder: Path, tmp_path: Path) -> Iterator[Side]:
    engine = detector_image.engine
    settings = {"runtime": engine.url, "traffic": {"image": gateway_image.load(engine)}}
    inside = engine.enclosure.entering()
    with AgentProcess(short_folder, settings, inside=inside) as agent:
        yield Side(detector_image, agent, tmp_path)
    engine.clear()


def test_a_good_and_a_bad_canary(side: Side) -> None:
    engine, first = side.built.engine, side.built.image
    applied = side.roost("workload", "apply", side.release(first["tag"]), "--to", "@dock", "--yes")
    assert applied.code == 0, applied
    assert side.running() == first["id"]

    archive = side.home / "update.tar"
    second = updated(side.built, archive)
    pushed = side.roost("image", "push", archive, "--to", "@dock", "--json")
    assert pushed.code == 0, pushed
    (record,) = pushed.json
    assert 0 < record["sent_bytes"] <= 200_000
    assert second["tag"] in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")

    outcome: dict[str, Any] = {}
    with load_on(engine, "127.0.0.1", PORT, 60, outcome):
        good = side.let_out(side.release(second["tag"]))
        assert good.code == 0, good
        assert side.running() == second["id"]
        bad = side.let_out(side.release(second["tag"], DETECTOR_ONNX="/models/none.onnx"))
        assert bad.code == 1, bad
        assert "dock reverted" in bad.out
        assert side.running() == second["id"]
        wait_until(lambda: side.agent.get("/v1/workloads")[0]["state"] == "running")
    assert outcome["failed"] == []
    assert outcome["asked"] > 0


def updated(built: Built, archive: Path) -> dict[str, Any]:
    """The image of a changed application as an archive, and gone from the engine."""
    source = built.images / "detector" / "server" / "boxes.py"
    text = source.read_text()
    source.write_text(text + "# an update\n")
    try:
        done = build(built.engine, built.images, "--json")
        assert done.returncode == 0, done.stderr
    finally:
        source.write_text(text)
    image: dict[str, Any] = json.loads(done.stdout)["cpu"]["variant"]["image"]
    assert image["diff_ids"][:-1] == built.image["diff_ids"][:-1]
    built.engine.docker("save", "--output", str(archive), image["tag"], seconds=120)
    # The name that moves is the first image's again.
    built.engine.docker("tag", built.image["tag"], "roost/detector:cpu")
    built.engine.docker("rmi", image["tag"])
    return image
