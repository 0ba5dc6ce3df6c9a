"""The Docker from a folder keeps its images in containerd's store, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.real import host_state, roots
from tests.real.busybox import IMAGE
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.fixtures import ContainerdStoreFactory

pytestmark = [pytest.mark.real("containerd_store"), pytest.mark.runtimes]


def info(docker: ContainerdStoreDocker) -> dict[str, object]:
    found: dict[str, object] = json.loads(docker.docker("info", "--format", "{{json .}}"))
    return found


def test_an_image_runs(containerd_store: ContainerdStoreDocker) -> None:
    assert containerd_store.docker("run", "--rm", IMAGE, "echo", "hello") == "hello"


def test_it_is_what_it_is_for(containerd_store: ContainerdStoreDocker) -> None:
    said = info(containerd_store)
    assert ["driver-type", "io.containerd.snapshotter.v1"] in said["DriverStatus"]  # type: ignore[operator]  # a list
    version = containerd_store.docker("version", "--format", "{{.Server.APIVersion}}")
    assert tuple(map(int, version.split("."))) >= (1, 48)


def test_it_leaves_nothing(containerd_store_factory: ContainerdStoreFactory) -> None:
    before = host_state.snapshot()
    folder = roots.folder(roots.DOCKER)
    times = {place: place.stat().st_mtime_ns for place in (folder, *folder.iterdir())}
    docker = containerd_store_factory()
    name = docker.docker("run", "-d", "-p", "8080:80", IMAGE, "sleep", "600")
    container = int(docker.docker("inspect", "--format", "{{.State.Pid}}", name))
    processes = [docker.enclosure.pid, *docker.enclosure.processes()]
    assert container in processes
    docker.kill()
    docker.start()
    docker.close()
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert not docker.folder.exists()
    assert host_state.snapshot() == before
    assert {place: place.stat().st_mtime_ns for place in times} == times
    assert list((folder / "proc").iterdir()) == []
