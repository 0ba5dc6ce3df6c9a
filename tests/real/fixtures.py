"""The fixtures that start real parts. Who uses one marks the test `real`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.real import bare_machine, host_state
from tests.real.bare_machine import BareMachine
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.real.new_podman import NewPodman
from tests.real.podman_service import PodmanService
from tests.real.skopeo import Skopeo
from tests.real.ssh_server import SshServer


class DockerEngineFactory(Protocol):
    """Makes Docker Engines that a test may kill or set up as it likes."""

    def __call__(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        hooks: Mapping[str, str] | None = None,
        start: bool = True,
    ) -> DockerEngine:
        """`config` is for daemon.json, `hooks` are scripts by name; started with the test image."""


class ContainerdStoreFactory(Protocol):
    """Makes Dockers with the containerd image store that a test may kill."""

    def __call__(
        self, *, config: Mapping[str, Any] | None = None, start: bool = True
    ) -> ContainerdStoreDocker:
        """`config` is for daemon.json; started with the test image."""


class PodmanServiceFactory(Protocol):
    """Makes Podman services that a test may kill."""

    def __call__(self, *, start: bool = True) -> PodmanService:
        """Started with the test image, unless `start` is False."""


class MachineFactory(Protocol):
    """Boots whole machines."""

    def __call__(self, root: str = ..., *, starts: str | None = None) -> BareMachine:
        """`root` and `starts` are as BareMachine takes them."""


class SshServerFactory(Protocol):
    """Makes SSH servers set up as a test needs them."""

    def __call__(self, settings: Mapping[str, str] | None = None) -> SshServer:
        """`settings` are sshd_config's."""


@pytest.fixture(scope="session")
def host_kept() -> Iterator[None]:
    """Fails at the end when the machine itself is not as it was."""
    before = host_state.snapshot()
    yield
    assert host_state.snapshot() == before


@pytest.fixture(scope="session")
def docker_engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """A Docker Engine with the test image, one per test process."""
    with ExitStack() as stack:
        yield _docker(stack, make_short_folder(), {}, {}, start=True)


@pytest.fixture
def skopeo(docker_engine: DockerEngine, make_short_folder: Callable[[], Path]) -> Skopeo:
    """`skopeo copy` from that Docker Engine's images and from files."""
    return Skopeo(docker_engine, make_short_folder())


@pytest.fixture
def docker_engine_factory(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[DockerEngineFactory]:
    """Docker Engines that end with the test."""
    with ExitStack() as stack:

        def make(
            *,
            config: Mapping[str, Any] | None = None,
            hooks: Mapping[str, str] | None = None,
            start: bool = True,
        ) -> DockerEngine:
            return _docker(stack, make_short_folder(), config or {}, hooks or {}, start=start)

        yield make


@pytest.fixture(scope="session")
def containerd_store(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[ContainerdStoreDocker]:
    """A Docker with the containerd image store and the test image, one per test process."""
    with ExitStack() as stack:
        yield _containerd_store(stack, make_short_folder(), {}, start=True)


@pytest.fixture
def containerd_store_factory(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[ContainerdStoreFactory]:
    """Dockers with the containerd image store that end with the test."""
    with ExitStack() as stack:

        def make(
            *, config: Mapping[str, Any] | None = None, start: bool = True
        ) -> ContainerdStoreDocker:
            return _containerd_store(stack, make_short_folder(), config or {}, start=start)

        yield make


@pytest.fixture
def machine_factory(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[MachineFactory]:
    """Machines that end with the test."""
    with ExitStack() as stack:

        def make(root: str = bare_machine.ROOTS[0], *, starts: str | None = None) -> BareMachine:
            return _machine(stack, make_short_folder(), root, starts)

        yield make


@pytest.fixture(scope="session")
def podman_service(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[PodmanService]:
    """Podman's Docker-compatible service with the test image, one per test process."""
    with ExitStack() as stack:
        yield _podman(stack, make_short_folder(), start=True)


@pytest.fixture
def podman_service_factory(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[PodmanServiceFactory]:
    """Podman services that end with the test."""
    with ExitStack() as stack:

        def make(*, start: bool = True) -> PodmanService:
            return _podman(stack, make_short_folder(), start=start)

        yield make


@pytest.fixture(scope="session")
def new_podman(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[NewPodman]:
    """A Podman that takes CDI devices, with the test image, one per test process."""
    with ExitStack() as stack:
        service = NewPodman(_enclosure(stack, make_short_folder(), network=True))
        service.start()
        service.load_busybox()
        yield service


@pytest.fixture(scope="session")
def ssh_server(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[SshServer]:
    """An sshd on loopback, one per test process."""
    with ExitStack() as stack:
        yield _sshd(stack, make_short_folder(), {})


@pytest.fixture
def ssh_server_factory(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[SshServerFactory]:
    """SSH servers that end with the test."""
    with ExitStack() as stack:

        def make(settings: Mapping[str, str] | None = None) -> SshServer:
            return _sshd(stack, make_short_folder(), settings or {})

        yield make


def _docker(
    stack: ExitStack,
    folder: Path,
    config: Mapping[str, Any],
    hooks: Mapping[str, str],
    *,
    start: bool,
) -> DockerEngine:
    engine = DockerEngine(_enclosure(stack, folder, network=True), config)
    for name, script in hooks.items():
        engine.add_hook(name, script)
    if start:
        engine.start()
        engine.load_busybox()
    return engine


def _machine(stack: ExitStack, folder: Path, root: str, starts: str | None) -> BareMachine:
    machine = BareMachine(_enclosure(stack, folder, network=True), root, starts)
    machine.boot()
    return machine


def _containerd_store(
    stack: ExitStack, folder: Path, config: Mapping[str, Any], *, start: bool
) -> ContainerdStoreDocker:
    docker = ContainerdStoreDocker(_enclosure(stack, folder, network=True), config)
    if start:
        docker.start()
        docker.load_busybox()
    return docker


def _podman(stack: ExitStack, folder: Path, *, start: bool) -> PodmanService:
    service = PodmanService(_enclosure(stack, folder, network=True))
    if start:
        service.start()
        service.load_busybox()
    return service


def _sshd(stack: ExitStack, folder: Path, settings: Mapping[str, str]) -> SshServer:
    server = SshServer(_enclosure(stack, folder, network=False), settings)
    server.start()
    return server


def _enclosure(stack: ExitStack, folder: Path, *, network: bool) -> Enclosure:
    enclosure = Enclosure(folder, network=network)
    stack.callback(enclosure.close)
    return enclosure
