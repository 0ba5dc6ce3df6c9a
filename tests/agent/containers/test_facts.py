"""Facts of a runtime, from answers as Docker and Podman give them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.containers.facts import is_podman, runtime_facts

ADDRESS = "unix:///var/run/docker.sock"
DOCKER: dict[str, Any] = {"Version": "28.5.2", "Components": [{"Name": "Engine"}]}
PODMAN: dict[str, Any] = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}


def test_docker_with_a_graphdriver() -> None:
    info = {
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"]],
        "DockerRootDir": "/var/lib/docker",
        "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
        "DefaultRuntime": "nvidia",
        "CgroupDriver": "systemd",
        "CgroupVersion": "2",
        "SecurityOptions": ["name=seccomp,profile=default"],
    }
    facts = runtime_facts(DOCKER, info, address=ADDRESS, api_version="1.41")
    assert (facts.state, facts.name, facts.version) == ("ok", "Docker Engine", "28.5.2")
    assert (facts.image_store, facts.storage_driver) == ("graphdriver", "overlay2")
    assert (facts.runtimes, facts.default_runtime) == (["nvidia", "runc"], "nvidia")
    assert (facts.cgroup_driver, facts.cgroup_version) == ("systemd", "2")
    assert (facts.api_version, facts.address, facts.root_dir) == (
        "1.41",
        ADDRESS,
        "/var/lib/docker",
    )
    assert not facts.rootless
    assert facts.cdi_devices == []


def test_docker_with_the_containerd_store_and_cdi() -> None:
    info = {
        "Driver": "overlayfs",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
        "DiscoveredDevices": [
            {"Source": "cdi", "ID": "nvidia.com/gpu=0"},
            {"Source": "usb", "ID": "stick"},
        ],
        "SecurityOptions": ["name=rootless"],
    }
    facts = runtime_facts(DOCKER, info, address=ADDRESS, api_version="1.51")
    assert facts.image_store == "containerd"
    assert facts.cdi_devices == ["nvidia.com/gpu=0"]
    assert facts.cdi_spec_dirs == ["/etc/cdi", "/var/run/cdi"]
    assert facts.rootless


@pytest.mark.parametrize("rootless", [True, False])
def test_podman(rootless: bool) -> None:
    info = {"Driver": "overlay", "Rootless": rootless, "DefaultRuntime": "/usr/sbin/runc"}
    facts = runtime_facts(PODMAN, info, address=ADDRESS, api_version="1.41")
    assert (facts.name, facts.image_store, facts.rootless) == ("Podman", "podman", rootless)


def test_which_it_is() -> None:
    assert is_podman(PODMAN)
    assert not is_podman(DOCKER)
    assert not is_podman({"Components": None})


def test_nothing_said_is_nothing_known() -> None:
    facts = runtime_facts({}, {}, address=ADDRESS, api_version="1.24")
    assert facts.version is None
    assert facts.root_dir is None
    assert facts.cgroup_version is None
    assert facts.runtimes == []
