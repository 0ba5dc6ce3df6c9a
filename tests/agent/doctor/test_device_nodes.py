"""Device nodes seen through a fake /proc."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent.doctor.device_nodes import DeviceNodes, look_at_nodes
from tests.agent.host.tree import write

ID = "c" * 64


def process(root: Path, *, environment: str = "") -> Path:
    """A fake procfs with process 42 of the container."""
    files = {"42/cgroup": f"0::/system.slice/docker-{ID}.scope\n", "42/environ": environment}
    write(root, files)
    (root / "42/root/dev").mkdir(parents=True)
    return root


def test_a_container_without_devices(tmp_path: Path) -> None:
    procfs = process(tmp_path, environment="PATH=/bin\0NVIDIA_VISIBLE_DEVICES=all\0A=b\0")
    assert look_at_nodes(ID, 42, procfs) == DeviceNodes(environment="all")


def test_files_and_links_are_no_devices(tmp_path: Path) -> None:
    procfs = process(tmp_path)
    dev = procfs / "42/root/dev"
    (dev / "nvidia0").write_text("a plain file")
    (dev / "nvidia1").symlink_to("/dev/null")
    (dev / "nvidiactl").write_text("")
    assert look_at_nodes(ID, 42, procfs) == DeviceNodes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device nodes")
def test_nvidias_nodes_by_their_minor_number(tmp_path: Path) -> None:
    procfs = process(tmp_path)
    dev = procfs / "42/root/dev"
    for name, major, minor in (
        ("nvidia0", 195, 0),
        ("nvidia7", 195, 3),  # the name may differ; the number is what counts
        ("nvidia9", 1, 3),  # somebody else's
        ("nvidia255", 195, 255),  # the control node
    ):
        os.mknod(dev / name, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    assert look_at_nodes(ID, 42, procfs).minors == (0, 3)


def test_a_jetsons_nodes(tmp_path: Path) -> None:
    procfs = process(tmp_path)
    (procfs / "42/root/dev/nvgpu").mkdir()
    (procfs / "42/root/dev/nvhost-gpu").write_text("")
    assert look_at_nodes(ID, 42, procfs).tegra == ("nvgpu", "nvhost-gpu")


def test_a_process_that_is_somebody_elses(tmp_path: Path) -> None:
    procfs = process(tmp_path)
    reason = look_at_nodes("d" * 64, 42, procfs).reason
    assert reason is not None
    assert "--pid=host" in reason


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    assert look_at_nodes(ID, 43, tmp_path).reason == "process 43 of the container: missing"
    write(tmp_path, {"43/cgroup": ID})
    assert look_at_nodes(ID, 43, tmp_path).reason == "the container's /dev: missing"
