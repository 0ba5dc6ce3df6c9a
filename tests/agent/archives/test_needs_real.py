"""Needs of images that real runtimes built and saved, with a library that gcc made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.archives.indexing import index_archive
from agent.archives.needs import read_needs
from agent.protocol.compatibility import CompatLibrary, Found
from tests.compat_library import compiled
from tests.real.busybox import IMAGE
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.docker_engine import DockerEngine
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

TAG = "roost-test/needs:1"
LIBRARY = "/usr/local/cuda-12.9/compat/libcuda.so.575.57.08"
STATUS = """\
Package: libnvinfer10
Status: install ok installed
Version: 10.8.0.43-1+cuda12.8
"""
COMPAT = CompatLibrary(
    path=LIBRARY,
    driver_version="575.57.08",
    cuda_version="12.9",
    drivers=[535, 550, 560, 565, 570, 575],
    devices=[1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
)

pytestmark = pytest.mark.real


@contextlib.contextmanager
def built(runtime: PrivateRuntime, folder: Path) -> Iterator[Callable[..., str]]:
    """The runtime's own command; the image has the library and dpkg's status in a layer each."""
    command = runtime.podman if isinstance(runtime, PodmanService) else runtime.docker
    root = folder / "root"
    library, status = root / LIBRARY[1:], root / "var/lib/dpkg/status"
    library.parent.mkdir(parents=True)
    library.write_bytes(compiled(folder, filler=5_000_000))
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    try:
        base = IMAGE
        for part in ("usr", "var"):
            container = command("create", base)
            command("cp", str(root / part), f"{container}:/")
            command("commit", "--change", "ENV CUDA_VERSION=12.9.1", container, TAG)
            command("rm", container)
            base = TAG
        yield command
    finally:
        for container in command("ps", "--all", "--quiet").split():
            command("rm", "--force", container)
        command("rmi", "--force", TAG)


def check(runtime: PrivateRuntime, folder: Path) -> None:
    with built(runtime, folder) as command:
        path = folder / "saved.tar"
        command("save", "-o", str(path), TAG)
        index = index_archive(path)
        needs = read_needs(index, index.images[0])
        assert needs.cuda == Found(version="12.9.1", where="env CUDA_VERSION")
        assert needs.tensorrt == Found(
            version="10.8.0.43", where="dpkg libnvinfer10 in /var/lib/dpkg/status"
        )
        assert needs.compat == COMPAT
        assert (needs.wants_gpu, needs.looked_inside, needs.unknown) == (True, True, {})

        # A container that removes it, and what becomes of that as a layer.
        command("run", "--name", "removes", TAG, "rm", "-r", "/usr/local/cuda-12.9")
        command("commit", "removes", TAG)
        path.unlink()
        command("save", "-o", str(path), TAG)
        index = index_archive(path)
        needs = read_needs(index, index.images[0])
        assert (needs.compat, needs.looked_inside, needs.unknown) == (None, True, {})
        assert needs.tensorrt is not None


def test_docker(docker_engine: DockerEngine, tmp_path: Path) -> None:
    check(docker_engine, tmp_path)


def test_podman(podman_service: PodmanService, tmp_path: Path) -> None:
    check(podman_service, tmp_path)


@pytest.mark.runtimes
def test_containerd_store(containerd_store: ContainerdStoreDocker, tmp_path: Path) -> None:
    check(containerd_store, tmp_path)
