"""Filesystems, and what is on them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.host.disks import free_bytes, read_disks
from tests.agent.host.tree import write


def test_one_filesystem_is_one_disk_with_all_its_purposes(tmp_path: Path) -> None:
    write(tmp_path, {"proc/1/mountinfo": "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"})
    (disk,) = read_disks(tmp_path, runtime_dir="/var/lib/docker")
    here = os.statvfs(tmp_path)
    assert disk.path == "/"
    assert disk.purposes == ["system", "runtime", "roost"]
    assert disk.total_bytes == here.f_blocks * here.f_frsize
    assert disk.filesystem == "ext4"


def test_a_runtime_folder_elsewhere_is_a_disk_of_its_own() -> None:
    shm = Path("/dev/shm")
    if shm.stat().st_dev == Path("/").stat().st_dev:
        pytest.fail("/dev/shm is no filesystem of its own here, so this cannot be tested")
    system, runtime = read_disks(runtime_dir="/dev/shm/not/there/yet")
    assert system.path == "/"
    assert system.purposes == ["system", "roost"]
    assert runtime.path == "/dev/shm"
    assert runtime.purposes == ["runtime"]
    assert runtime.filesystem == "tmpfs"


def test_a_link_to_another_filesystem_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "docker"
    link.symlink_to("/dev/shm")
    purposes = [disk.purposes for disk in read_disks(runtime_dir=str(link))]
    assert ["runtime"] in purposes


def test_a_link_of_the_machine_stays_on_the_machine(tmp_path: Path) -> None:
    """The kernel would follow it from the root of the agent's container."""
    write(tmp_path, {"srv/docker/x": "", "var/lib/x": ""})
    (tmp_path / "var/lib/docker").symlink_to("/srv/docker")
    (disk,) = read_disks(tmp_path, runtime_dir="/var/lib/docker")
    assert disk.purposes == ["system", "runtime", "roost"]


def test_the_figures_are_those_of_df() -> None:
    (disk, *_) = read_disks()
    shown = subprocess.run(
        ["df", "-B1", "--output=size,fstype", "/"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1]
    size, kind = shown.split()
    assert disk.total_bytes == int(size)
    assert disk.filesystem == kind
    assert 0 < disk.free_bytes <= disk.total_bytes


def test_no_runtime_folder_known(tmp_path: Path) -> None:
    (disk,) = read_disks(tmp_path)
    assert disk.purposes == ["system", "roost"]


def test_a_path_that_is_gone_has_a_reason(tmp_path: Path) -> None:
    assert free_bytes("/gone", tmp_path) == (None, "missing")
