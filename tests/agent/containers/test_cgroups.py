"""Where a container's cgroup is found, on trees of every kind that is met."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.containers.cgroups import CgroupFiles, CgroupReading, find_cgroup
from tests.agent.containers.answers import ID
from tests.agent.containers.trees import v1_tree, v2_tree, write

PID = 2255
READ = CgroupReading(
    cpu_ns=2_500_000_000, memory_used_bytes=7_000_000, memory_limit_bytes=None, process_count=7
)

GROUPS = [
    pytest.param(f"/docker/{ID}", id="docker-cgroupfs"),
    pytest.param(f"/system.slice/docker-{ID}.scope", id="docker-systemd"),
    pytest.param(f"/libpod_parent/libpod-{ID}", id="podman-cgroupfs"),
    pytest.param(f"/machine.slice/libpod-{ID}.scope", id="podman-systemd"),
    pytest.param(
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        id="podman-rootless",
    ),
]


def read(root: Path, pid: int | None = PID) -> CgroupReading | None:
    place = find_cgroup(root, ID, pid)
    if place is None:
        return None
    files = CgroupFiles(place)
    try:
        return files.read()
    finally:
        files.close()


@pytest.mark.parametrize("group", GROUPS)
def test_cgroup_v2(tmp_path: Path, group: str) -> None:
    v2_tree(tmp_path, group, pid=PID)
    assert read(tmp_path) == READ


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("together", [True, False])
def test_cgroup_v1_and_hybrid(tmp_path: Path, group: str, together: bool) -> None:
    v1_tree(tmp_path, group, pid=PID, together=together)
    assert read(tmp_path) == READ


@pytest.mark.parametrize("deeper", ["/container", "/init.scope", "/system.slice/x.service"])
def test_a_process_that_moved_deeper_into_its_container(tmp_path: Path, deeper: str) -> None:
    group = f"/machine.slice/libpod-{ID}.scope"
    v2_tree(tmp_path, group, pid=PID, shown=group + deeper)
    assert read(tmp_path) == READ


def test_an_agent_in_a_container_sees_paths_relative_to_its_own(tmp_path: Path) -> None:
    v2_tree(tmp_path, f"/docker/{ID}", pid=PID, shown=f"/../{ID}")
    assert read(tmp_path) == READ


@pytest.mark.parametrize("pid", [PID, None])
def test_the_container_is_searched_by_its_id_where_the_process_does_not_help(
    tmp_path: Path, pid: int | None
) -> None:
    v2_tree(tmp_path, f"/system.slice/docker-{ID}.scope", pid=None)
    write(tmp_path / f"sys/fs/cgroup/machine.slice/libpod-conmon-{ID}.scope", cpu__stat="")
    assert read(tmp_path, pid) == READ


def test_a_process_number_that_is_another_process_now_proves_nothing(tmp_path: Path) -> None:
    v2_tree(tmp_path, "/system.slice/ssh.service", pid=PID)
    assert read(tmp_path) is None


def test_a_machine_without_cgroups(tmp_path: Path) -> None:
    assert read(tmp_path) is None


def test_limits(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    (folder / "memory.max").write_text("536870912\n")
    reading = read(tmp_path)
    assert reading is not None
    assert reading.memory_limit_bytes == 536870912


def test_a_limit_on_v1(tmp_path: Path) -> None:
    folder = v1_tree(tmp_path, f"/docker/{ID}", pid=PID)
    (folder / "memory.limit_in_bytes").write_text("536870912\n")
    reading = read(tmp_path)
    assert reading is not None
    assert reading.memory_limit_bytes == 536870912


def test_more_cache_than_memory_is_not_taken_off(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    (folder / "memory.stat").write_text("inactive_file 10000001\n")
    reading = read(tmp_path)
    assert reading is not None
    assert reading.memory_used_bytes == 10_000_000


def test_without_the_pids_controller_the_rest_is_read(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    (folder / "pids.current").unlink()
    reading = read(tmp_path)
    assert reading is not None
    assert (reading.process_count, reading.cpu_ns) == (None, READ.cpu_ns)
