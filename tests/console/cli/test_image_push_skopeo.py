"""`roost image push` of what a real `skopeo copy` wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.agent.archives.test_real_archives import MADE, layers_of, make_image
from tests.console.cli.commands import roost
from tests.real.docker_engine import DockerEngine
from tests.real.skopeo import Skopeo

pytestmark = pytest.mark.real


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_it_is_there_and_runs(
    docker_engine: DockerEngine,
    skopeo: Skopeo,
    docker_fleet: Path,
    tmp_path: Path,
    transport: str,
) -> None:
    """Of the image's two layers the engine has one; it runs from both."""
    make_image(docker_engine, tmp_path)
    try:
        layers = layers_of(docker_engine, MADE)
        image_id = docker_engine.docker("image", "inspect", "--format", "{{.Id}}", MADE)
        file = tmp_path / "copied.tar"
        skopeo.save(MADE, f"{transport}:{file}:{MADE}")
        docker_engine.docker("rmi", MADE)

        push = ("--fleet", docker_fleet, "image", "push", file, "--to", "@dock", "--json")
        done = roost(tmp_path, *push)
        assert done.code == 0, done
        [record] = done.json
        assert record["result"] == "done"
        assert layers_of(docker_engine, MADE) == layers
        loaded = docker_engine.docker("image", "inspect", "--format", "{{.Id}}", MADE)
        assert record["images"] == {MADE: loaded}
        if transport == "docker-archive":
            assert loaded == image_id
        content = (tmp_path / "file").read_bytes()
        assert 0 < record["sent_bytes"] < len(content) + 10_000  # without the base
        said = docker_engine.docker("run", "--rm", MADE, "sha256sum", "/file")
        assert said.split()[0] == hashlib.sha256(content).hexdigest()
        assert roost(tmp_path, *push).json[0]["sent_bytes"] == 0
    finally:
        docker_engine.clear_images()
