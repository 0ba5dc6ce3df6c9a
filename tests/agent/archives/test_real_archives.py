"""Archives that real runtimes saved, and archives of ours that they load."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.archives.writing import archive_size, write_docker_archive
from tests.real.busybox import IMAGE
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.docker_engine import DockerEngine
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

TAG = "roost.local/staging:test-0"
MADE = "roost-test/made:1"

pytestmark = pytest.mark.real


def command_of(runtime: PrivateRuntime) -> Callable[..., str]:
    """Podman's own: a docker of today cannot commit with the Podman of yesterday."""
    return runtime.podman if isinstance(runtime, PodmanService) else runtime.docker


def make_image(runtime: PrivateRuntime, folder: Path) -> None:
    """An image of two layers: the test image and a file."""
    (folder / "file").write_bytes(bytes(range(256)) * 4000)
    command = command_of(runtime)
    container = command("create", IMAGE)
    command("cp", str(folder / "file"), f"{container}:/file")
    command("commit", container, MADE)
    command("rm", container)


@contextlib.contextmanager
def made_image(runtime: PrivateRuntime, folder: Path) -> Iterator[Path]:
    """Its archive, as the runtime saves it; the image itself is gone from the runtime."""
    path = folder / "made.tar"
    try:
        make_image(runtime, folder)
        command_of(runtime)("save", "-o", str(path), MADE)
        yield path
    finally:
        tags = runtime.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        ours = [tag for tag in tags if tag.endswith((MADE, TAG))]
        if ours:
            runtime.docker("rmi", "--force", *ours)


def layers_of(runtime: PrivateRuntime, image: str) -> list[str]:
    words = json.loads(runtime.docker("image", "inspect", image))
    diff_ids: list[str] = words[0]["RootFS"]["Layers"]
    return diff_ids


def check_layers(index: ArchiveIndex) -> None:
    """Reading verifies; here it is compared once more."""
    for found in index.layers:
        digest = hashlib.sha256()
        with open_layer(index, found.diff_id) as reader:
            while part := reader.read(1_000_000):
                digest.update(part)
        assert f"sha256:{digest.hexdigest()}" == found.diff_id


def write(index: ArchiveIndex, path: Path, left_out: set[int]) -> Path:
    content = index.content(index.images[0])
    with path.open("wb") as file:
        file.writelines(
            write_docker_archive(
                content, lambda name: open_layer(index, name), left_out=left_out, tag=TAG
            )
        )
    assert path.stat().st_size == archive_size(content, left_out=left_out, tag=TAG)
    return path


def test_what_docker_saves_and_takes_back(docker_engine: DockerEngine, tmp_path: Path) -> None:
    with made_image(docker_engine, tmp_path) as saved:
        layers = layers_of(docker_engine, MADE)
        image_id = docker_engine.docker("image", "inspect", "--format", "{{.Id}}", MADE)
        index = index_archive(saved)
        image = index.images[0]
        assert (image.diff_ids, image.config_digest, image.tags) == (layers, image_id, [MADE])
        assert (image.os, len(layers)) == ("linux", 2)
        check_layers(index)

        docker_engine.docker("rmi", MADE)
        partial = write(index, tmp_path / "partial.tar", {0})
        assert partial.stat().st_size < saved.stat().st_size
        docker_engine.docker("load", "-i", str(partial))
        assert layers_of(docker_engine, TAG) == layers
        assert docker_engine.docker("image", "inspect", "--format", "{{.Id}}", TAG) == image_id
        said = docker_engine.docker("run", "--rm", TAG, "sha256sum", "/file")
        assert said.split()[0] == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


def test_several_images_in_one_archive(docker_engine: DockerEngine, tmp_path: Path) -> None:
    with made_image(docker_engine, tmp_path):
        saved = tmp_path / "both.tar"
        docker_engine.docker("save", "-o", str(saved), IMAGE, MADE)
        index = index_archive(saved)
        assert {tag: image.diff_ids for image in index.images for tag in image.tags} == {
            name: layers_of(docker_engine, name) for name in (IMAGE, MADE)
        }
        assert len(index.layers) == 2
        check_layers(index)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_and_takes_back(
    podman_service: PodmanService, tmp_path: Path, form: str
) -> None:
    with made_image(podman_service, tmp_path):
        saved = tmp_path / f"{form}.tar"
        podman_service.podman("save", "--format", form, "-o", str(saved), MADE)
        layers = layers_of(podman_service, MADE)
        index = index_archive(saved)
        assert index.images[0].diff_ids == layers
        assert index.images[0].tags == [f"localhost/{MADE}"]
        check_layers(index)

        whole = write(index, tmp_path / "whole.tar", set())
        podman_service.docker("load", "-i", str(whole))
        assert layers_of(podman_service, TAG) == layers


def test_from_podman_to_docker(
    podman_service: PodmanService, docker_engine: DockerEngine, tmp_path: Path
) -> None:
    with made_image(podman_service, tmp_path) as saved, contextlib.ExitStack() as after:
        index = index_archive(saved)
        after.callback(docker_engine.docker, "rmi", TAG)
        docker_engine.docker("load", "-i", str(write(index, tmp_path / "whole.tar", set())))
        assert layers_of(docker_engine, TAG) == index.images[0].diff_ids


@pytest.mark.runtimes
def test_what_the_containerd_store_saves_and_takes_back(
    containerd_store: ContainerdStoreDocker, tmp_path: Path
) -> None:
    """Docker 28 saves an OCI layout with a manifest.json, its layers compressed."""
    with made_image(containerd_store, tmp_path) as saved:
        layers = layers_of(containerd_store, MADE)
        index = index_archive(saved)
        image = index.images[0]
        assert (len(index.images), image.diff_ids, image.tags) == (1, layers, [MADE])
        image_id = containerd_store.docker("image", "inspect", "--format", "{{.Id}}", MADE)
        assert image.manifest_digest == image_id
        check_layers(index)

        whole = write(index, tmp_path / "whole.tar", set())
        assert "rror" not in containerd_store.docker("load", "-i", str(whole))
        assert layers_of(containerd_store, TAG) == layers
        said = containerd_store.docker("run", "--rm", TAG, "sha256sum", "/file")
        assert said.split()[0] == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()
