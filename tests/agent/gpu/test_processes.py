"""Which container a process belongs to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.gpu.processes import ProcessInfo, ProcessTable, container_of

ID, OTHER = "4f" * 32, "0a" * 32


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope\n",
        f"0::/docker/{ID}\n",
        f"12:devices:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n",
        f"11:hugetlb:/\n10:devices:/system.slice/docker-{ID}.scope\n0::/\n",
        f"0::/machine.slice/libpod-{ID}.scope\n",
        f"0::/machine.slice/libpod-{ID}.scope/container\n",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
        f"9:devices:/libpod_parent/libpod-{ID}\n",
        f"0::/../../docker-{ID}.scope\n",
        f"0::/custom.slice/docker-{ID}.scope/init.scope\n",
        f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope\n",
        f"0::/kubepods/burstable/pod0f6a/crio-{ID}\n",
        # A runtime inside a container: this node's runtime knows only the outer one.
        f"0::/system.slice/docker-{ID}.scope/docker/{OTHER}\n",
    ],
)
def test_container(cgroup: str) -> None:
    assert container_of(cgroup) == ID


@pytest.mark.parametrize(
    "cgroup",
    [
        "",
        "0::/\n",
        "0::/user.slice/user-1000.slice/session-3.scope\n",
        "0::/system.slice/docker.service\n",
        f"0::/machine.slice/libpod-conmon-{ID}.scope\n",
        f"0::/system.slice/{ID[:-1]}.scope\n",
        f"0::/system.slice/x{ID}\n",
    ],
)
def test_the_hosts_own(cgroup: str) -> None:
    assert container_of(cgroup) is None


def test_this_process() -> None:
    found = ProcessTable(Path("/proc")).look_up([os.getpid()])[os.getpid()]
    assert found.name == Path("/proc/self/comm").read_text().strip()
    assert found.reason is None


def test_a_process_is_read_once_for_as_long_as_it_stays(tmp_path: Path) -> None:
    place = tmp_path / "7"
    place.mkdir()
    (place / "comm").write_text("first\n")
    (place / "cgroup").write_text("0::/\n")
    table = ProcessTable(tmp_path)
    assert table.look_up([7, 8]) == {
        7: ProcessInfo("first"),
        8: ProcessInfo(reason="no_process"),
    }
    (place / "comm").write_text("second\n")
    assert table.look_up([7])[7].name == "first"
    assert table.look_up([]) == {}
    assert table.look_up([7])[7].name == "second"


def test_a_process_that_was_not_there_yet_is_looked_for_again(tmp_path: Path) -> None:
    table = ProcessTable(tmp_path)
    assert table.look_up([9])[9].reason == "no_process"
    (tmp_path / "9").mkdir()
    (tmp_path / "9/comm").write_text("late\n")
    (tmp_path / "9/cgroup").write_text(f"0::/docker/{ID}\n")
    assert table.look_up([9])[9] == ProcessInfo("late", ID)
