"""The detector's image, built by Podman and by a Docker with the containerd store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.images.detector_side import (
    BASE,
    IMAGES,
    Built,
    base_archive,
    build,
    build_command,
    copied,
    start,
)
from tests.images.loading import JPEG
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.enclosure import Enclosure
from tests.real.new_podman import NewPodman

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(600)]

Runtime = ContainerdStoreDocker | NewPodman


@pytest.fixture(scope="module", params=[ContainerdStoreDocker, NewPodman])
def built(
    request: pytest.FixtureRequest, host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[Built]:
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        runtime: Runtime = request.param(enclosure)
        runtime.start()
        archive = base_archive(runtime.folder)
        if isinstance(runtime, NewPodman):
            runtime.podman("import", "--quiet", str(archive), f"docker.io/{BASE}", seconds=120)
        else:
            runtime.docker("import", str(archive), BASE, seconds=120)
        images = copied(IMAGES, make_short_folder())
        done = build(runtime, images, "--json")
        assert done.returncode == 0, done.stderr
        yield Built(runtime, images, done.stderr, json.loads(done.stdout))


def test_it_is_what_docker_builds(built: Built) -> None:
    """And an update of the application changes the last layer."""
    image = built.image
    lock = json.loads((built.images / "image-manifest.lock.json").read_text())["variants"]["cpu"]
    assert lock["image"] == image
    assert image["diff_ids"][: len(lock["base"]["diff_ids"])] == lock["base"]["diff_ids"]
    about = json.loads(built.engine.docker("inspect", image["tag"]))[0]["Config"]
    assert (about["User"], about["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert about["Labels"]["roost.variant"] == "cpu"
    source = built.images / "detector" / "server" / "boxes.py"
    source.write_text(f"{source.read_text()}# another line\n")
    done = build(built.engine, built.images, "--json")
    assert done.returncode == 0, done.stderr
    changed = json.loads(done.stdout)["cpu"]["variant"]["image"]
    assert changed["diff_ids"][:-1] == image["diff_ids"][:-1]
    assert changed["diff_ids"][-1] != image["diff_ids"][-1]
    assert changed["tag"] != image["tag"]


def test_it_runs_and_its_health_is_looked_at(built: Built) -> None:
    engine = built.engine
    models = engine.folder / "models"  # it sees no other folder of this machine
    models.mkdir()
    detector = start(built, "detector", models)
    try:
        detector.wait_ready()
        (found,) = detector.detect(JPEG.read_bytes()).json["detections"]
        assert found["label"] == "red"
        if isinstance(engine, NewPodman):
            # Podman's own clock for it is systemd.
            engine.podman("healthcheck", "run", "detector")
        else:
            form = "{{json .Config.Healthcheck.Test}}"
            test = json.loads(engine.docker("inspect", "--format", form, "detector"))
            assert test == ["CMD", "python3", "-m", "detector_server.health"]
    finally:
        engine.docker("rm", "--force", "detector")


def test_a_build_that_is_stopped_stops_and_the_runtime_stays(built: Built) -> None:
    engine = built.engine
    lock = (built.images / "image-manifest.lock.json").read_bytes()
    # Whoever started these tests may ignore Ctrl-C.
    with subprocess.Popen(
        ["env", "--default-signal=INT", *build_command(built.images, "--no-cache")],
        env=os.environ | {"DOCKER_HOST": engine.url},
        cwd=IMAGES.parent,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "pip install" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "cpu: stopping the build" in said
    assert ("Podman builds on to its end" in said) == isinstance(engine, NewPodman)
    assert (built.images / "image-manifest.lock.json").read_bytes() == lock
    assert engine.docker("ps", "--all", "--quiet") == ""
