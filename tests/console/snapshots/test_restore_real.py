"""A snapshot of one real node, restored onto another one that had nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests import onnx_made
from tests.agent.engines.engine_side import stand_in
from tests.console.cli.commands import ROOST, environment
from tests.console.snapshots.two_nodes import SERVES, TwoNodes, node
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.waiting import wait_until

# Two Docker Engines and two agents are started within it.
pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

SECRET, PASSWORD = "the camera's own words", "hunter2-is-too-short"


@pytest.fixture(scope="module")
def engines(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[tuple[DockerEngine, DockerEngine]]:
    """Two, of which the second one has no images."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            enclosure = Enclosure(make_short_folder(), network=True)
            stack.callback(enclosure.close)
            engine = DockerEngine(enclosure)
            engine.start()
            made.append(engine)
        made[0].load_busybox()
        yield made[0], made[1]


@pytest.fixture
def nodes(
    engines: tuple[DockerEngine, DockerEngine], short_folder: Path, tmp_path: Path
) -> Iterator[TwoNodes]:
    """`old` has an image that `new` lacks."""
    old, new = engines
    settings = {"engines": {"python": str(stand_in(short_folder))}}
    with (
        node("old", short_folder / "o", old, settings) as one,
        node("new", short_folder / "n", new, settings) as other,
    ):
        yield TwoNodes(tmp_path, one, other)
    for engine in engines:
        engine.clear()
    if new.docker("images", "--quiet", IMAGE):
        new.docker("rmi", IMAGE)


def web(**more: Any) -> dict[str, Any]:
    return {
        "image": IMAGE,
        "command": SERVES,
        "environment": {"GREETING": "hello", "DB_PASSWORD": PASSWORD},
        **more,
    }


def whole_text(file: Path) -> bytes:
    """All that is in a snapshot, unpacked."""
    with file.open("rb") as packed:
        return zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()


def place_model(nodes: TwoNodes) -> None:
    model = nodes.home / "detector.onnx"
    model.write_bytes(onnx_made.detector())
    bundle = nodes.home / "model.bundle"
    nodes.good("bundle", "make", "-o", bundle, "--model", model, "--unsigned")
    nodes.good("bundle", "push", bundle, "--to", "@old")


def test_one_file_makes_a_replacement(nodes: TwoNodes) -> None:
    """Image, model, engine and workload; what is secret is named, and nowhere in the file."""
    file = nodes.home / "old.snapshot"
    place_model(nodes)
    with nodes.old.agent.client("admin") as admin:
        admin.put("/v1/secrets/camera", content=SECRET.encode()).raise_for_status()
    recipe = nodes.home / "detector.yaml"
    recipe.write_text("model: detector\nonnx: detector.onnx\n")
    nodes.good("engine", "build", recipe, "--to", "@old")
    labels = {"note": f"as {SECRET} says", "api-token": PASSWORD}
    compose = nodes.compose(web=web(labels=labels, secrets=["camera"]))
    nodes.good("workload", "apply", compose, "--to", "@old", "--yes")
    assert nodes.old.served("web") == "hello"

    everything = ("--with-images", "--with-models", "--with-environment")
    taken = nodes.good("snapshot", "take", "old", "-o", file, *everything, "--json").json
    assert (taken["images_carried"], taken["engines"], taken["models"]) == (1, 1, 1)
    assert taken["secrets"] == ["camera"]
    assert set(taken["withheld"]["web"]) == {
        *("environment.DB_PASSWORD", "labels.note", "labels.api-token"),
    }
    text = whole_text(file)
    assert b"GREETING" in text
    for value in (SECRET, PASSWORD):
        assert value.encode() not in text

    # What the new node lacks is named, and nothing has begun.
    refused = nodes.roost("snapshot", "restore", file, "--to", "new", "--yes")
    assert refused.code == 1
    assert "environment.DB_PASSWORD" in refused.err
    values = ("--set", "web.DB_PASSWORD=other")
    refused = nodes.roost("snapshot", "restore", file, "--to", "new", "--yes", *values)
    assert "labels.note" in refused.err  # and is given likewise
    assert nodes.new.jobs() == []

    nodes.good("workload", "apply", nodes.compose(web=web()), "--to", "@old", "--yes")
    nodes.good("snapshot", "take", "old", "-o", file, *everything, "--force")
    plan = nodes.good("snapshot", "restore", file, "--to", "new", "--check", *values)
    for line in (f"load image {IMAGE}", "model detector.onnx", "engine detector", "web: create"):
        assert line in plan.out
    assert nodes.new.jobs() == []
    done = nodes.good("snapshot", "restore", file, "--to", "new", "--yes", *values, "--json").json
    assert done["differs"] == []
    assert nodes.new.served("web") == "hello"
    assert "DB_PASSWORD=other" in nodes.new.inspect("web")["Config"]["Env"]
    assert nodes.old.served("web") == "hello"
    [engine] = nodes.new.agent.get("/v1/engines")
    assert (engine["model"], engine["current"]) == ("detector", True)

    diff = nodes.good("snapshot", "diff", file, "new", "--json").json
    assert {each["part"] for each in diff["changes"]} == {"machine", "configuration", "secrets"}

    # Back to nothing, by the snapshot that was taken before.
    undo = ("snapshot", "restore", done["undo"], "--to", "new", "--remove-others", "--yes")
    assert "REMOVE  workload web" in nodes.good(*undo).out
    assert nodes.new.engine.docker("ps", "--all", "--quiet") == ""
    assert nodes.new.agent.get("/v1/workloads") == []


def test_a_value_that_is_withheld_and_no_longer_what_it_was_is_told(nodes: TwoNodes) -> None:
    """Nobody has the value of then; a restore that keeps another one does not say "as in"."""
    file = nodes.home / "old.snapshot"
    apply = ("--to", "@old", "--yes")
    nodes.good("workload", "apply", nodes.compose(web=web()), *apply)
    nodes.good("snapshot", "take", "old", "-o", file)
    changed = web(environment={"GREETING": "bye", "DB_PASSWORD": PASSWORD})
    nodes.good("workload", "apply", nodes.compose(web=changed), *apply)

    back = ("snapshot", "restore", file, "--to", "old")
    plan = nodes.good(*back, "--check")
    assert "note    web: environment.GREETING: no longer what it was then" in plan.out

    done = nodes.good(*back, "--yes")
    assert "old: succeeded, not all is as in" in done.out
    assert "still differs: environment.GREETING: changed, value withheld" in done.err
    assert "environment.DB_PASSWORD" not in done.err
    assert nodes.old.served("web") == "bye"

    done = nodes.good(*back, "--yes", "--set", "web.GREETING=hello")
    assert "old: succeeded, as in" in done.out
    assert nodes.old.served("web") == "hello"


def restores(nodes: TwoNodes) -> list[dict[str, Any]]:
    return [job for job in nodes.new.jobs() if job["kind"] == "snapshot.restore"]


@pytest.mark.parametrize("at", ["loading", "applying"])
def test_killed_it_goes_on_by_the_same_command(nodes: TwoNodes, at: str) -> None:
    """Console and agent both, with kill -9, while it loads or while the workload starts."""
    file = nodes.home / "old.snapshot"
    slow = {"x-roost": {"soak": "3s"}}
    nodes.good("workload", "apply", nodes.compose(web=web(**slow)), "--to", "@old", "--yes")
    nodes.good(
        "snapshot", "take", "old", "-o", file, "--with-images", "--with-environment", "--force"
    )
    command: list[str | Path] = [
        *("--fleet", nodes.fleet, "snapshot", "restore", file, "--to", "new", "--yes"),
        *("--set", f"web.DB_PASSWORD={PASSWORD}"),
    ]
    env = environment(nodes.home, {"XDG_DATA_HOME": str(nodes.home / "data")})
    with subprocess.Popen(
        [ROOST, *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as console:
        wait_until(lambda: any(job["stage"] == at for job in restores(nodes)))
        console.kill()
    agent = nodes.new.agent.process
    assert agent is not None
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    nodes.new.agent.start()

    done = nodes.good(*command[2:])
    assert nodes.new.served("web") == "hello"
    [job] = restores(nodes)
    assert job["state"] == "succeeded"
    assert f"job {job['id']} goes on with it" in done.err or "nothing to do" in done.out
    names = nodes.new.engine.docker("ps", "--all", "--format", "{{.Names}}").split()
    assert names == ["web"]


def test_what_goes_wrong(nodes: TwoNodes) -> None:
    nodes.good("workload", "apply", nodes.compose(web=web()), "--to", "@old", "--yes")
    plain, whole = nodes.home / "plain.snapshot", nodes.home / "whole.snapshot"
    nodes.good("snapshot", "take", "old", "-o", plain, "--with-environment")
    values = ("--set", f"web.DB_PASSWORD={PASSWORD}")
    lacks = nodes.roost("snapshot", "restore", plain, "--to", "new", "--yes", *values)
    assert f"{IMAGE} is not there, and the snapshot does not carry it" in lacks.err
    assert "--with-images" in lacks.err

    nodes.good("snapshot", "take", "old", "-o", whole, "--with-images", "--with-environment")
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    cut = nodes.roost("snapshot", "restore", whole, "--to", "new", "--yes", *values)
    assert (cut.code, "the bundle's end is missing" in cut.err) == (1, True)
    middle = len(content) // 2
    whole.write_bytes(content[:middle] + b"\0" * 64 + content[middle + 64 :])
    damaged = nodes.roost("snapshot", "restore", whole, "--to", "new", "--yes", *values)
    assert damaged.code == 1, damaged
    assert "what it had begun is cancelled" in damaged.err
    wait_until(lambda: {job["state"] for job in restores(nodes)} <= {"cancelled", "failed"})
    assert "web" not in nodes.new.engine.docker("ps", "--all", "--format", "{{.Names}}")
    assert nodes.new.engine.docker("images", "--quiet") == ""

    nowhere = nodes.roost("snapshot", "take", "old", "-o", nodes.home / "no" / "a.snapshot")
    assert (nowhere.code, "No such file or directory" in nowhere.err) == (1, True)
    untold = nodes.roost("--read-only", "snapshot", "restore", plain, "--to", "old", "--yes")
    assert untold.code != 0
    assert nodes.old.served("web") == "hello"
