"""Podman's Docker-compatible socket, as the docker command sees it."""

from __future__ import annotations

import pytest

from tests.real import host_state
from tests.real.busybox import IMAGE
from tests.real.fixtures import PodmanServiceFactory
from tests.real.podman_service import PodmanService

pytestmark = pytest.mark.real

SERVE = "mkdir /w && echo hello >/w/index.html && exec httpd -f -p 80 -h /w"
# The port is there before httpd is.
FETCH = "until busybox wget -q -O - http://127.0.0.1:8080/ 2>/dev/null; do sleep 0.05; done"


def test_an_image_runs(podman_service: PodmanService) -> None:
    assert podman_service.docker("run", "--rm", IMAGE, "echo", "hello") == "hello"
    assert podman_service.podman("run", "--rm", IMAGE, "echo", "hello") == "hello"


def test_it_is_podman_with_storage_of_its_own(podman_service: PodmanService) -> None:
    components = podman_service.docker("version", "--format", "{{json .Server.Components}}")
    assert "Podman Engine" in components
    root = podman_service.docker("info", "--format", "{{.DockerRootDir}}")
    assert root == str(podman_service.data)


def test_a_published_port_answers_inside_only(
    podman_service_factory: PodmanServiceFactory,
) -> None:
    before = host_state.snapshot()
    service = podman_service_factory()
    service.docker("run", "-d", "--name", "web", "-p", "8080:80", IMAGE, "sh", "-c", SERVE)
    assert service.enter("sh", "-c", FETCH).stdout == "hello\n"
    assert host_state.snapshot() == before
    service.close()
    assert host_state.snapshot() == before


def test_containers_outlive_the_service(podman_service_factory: PodmanServiceFactory) -> None:
    service = podman_service_factory()
    service.docker("run", "-d", "--name", "kept", IMAGE, "sleep", "600")
    pid = int(service.docker("inspect", "--format", "{{.State.Pid}}", "kept"))
    service.kill()
    assert pid in service.enclosure.processes()
    service.start()
    assert service.docker("inspect", "--format", "{{.State.Pid}}", "kept") == str(pid)
    service.clear()
    assert service.docker("ps", "--all", "--quiet") == ""
    assert pid not in service.enclosure.processes()
