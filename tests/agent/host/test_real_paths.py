"""Paths of a machine whose root is not this process's."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.host.real_paths import (
    HOST_VARIABLE,
    ROOT,
    below,
    command_there,
    here,
    host_root,
    mounts_of,
    real_path,
)
from tests.real.busybox import write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine in which /allowed has links out of it."""
    allowed = tmp_path / "m/allowed"
    (allowed / "in").mkdir(parents=True)
    (allowed / "out").symlink_to("/etc")
    (allowed / "up").symlink_to("../data")
    (allowed / "round").symlink_to("/allowed/round/x")
    (allowed / "file").write_text("")
    return tmp_path / "m"


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/allowed/in", "/allowed/in"),
        ("/allowed/new/deep", "/allowed/new/deep"),
        ("/allowed/out/shadow", "/etc/shadow"),
        ("/allowed/up/x", "/data/x"),
        ("/allowed/in/../../data", "/data"),
        ("/allowed/up/../allowed/out", "/etc"),
        ("/allowed/file/x", "/allowed/file/x"),
        ("/../..", "/"),
        ("//allowed/in", "/allowed/in"),
    ],
)
def test_links_lead_where_the_machine_has_them(root: Path, path: str, real: str) -> None:
    assert real_path(path, root) == Path(real)
    assert below(Path(real), root).is_relative_to(root)


def test_a_circle_is_told(root: Path) -> None:
    with pytest.raises(OSError, match="symbolic links") as caught:
        real_path("/allowed/round", root)
    assert caught.value.errno == errno.ELOOP


def test_a_circle_of_this_machine_is_told_or_is_not_there(root: Path) -> None:
    """Python tells it from 3.13 on by no error at all."""
    circle = root / "circle"
    circle.symlink_to(circle)
    try:
        assert not real_path(str(circle)).exists()
    except OSError as error:
        assert error.errno == errno.ELOOP  # noqa: PT017 - either will do


def test_of_this_machine_it_is_what_the_path_is(root: Path) -> None:
    assert real_path(str(root / "allowed/up")) == root / "data"


def test_what_is_read_is_what_the_machine_has(root: Path) -> None:
    """A link's absolute path would lead into the root of the process that reads."""
    (root / "data").mkdir()
    (root / "data/x").write_text("of the machine")
    (root / "allowed/link").symlink_to("/data/x")
    assert here("/allowed/link", root).read_text() == "of the machine"
    assert here("/allowed/round", root) == root / "allowed/round"  # opening it tells
    assert here("/allowed/link") == Path("/allowed/link")


def test_a_machine_that_is_this_one_is_not_looked_for(root: Path) -> None:
    assert host_root({}) == ROOT
    assert host_root({HOST_VARIABLE: str(root)}) == root
    assert mounts_of() == Path("/proc/self/mountinfo")
    assert mounts_of(root) == root / "proc/1/mountinfo"
    assert command_there(["journalctl", "-n", "1"]) == ["journalctl", "-n", "1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: chroot")
@pytest.mark.skipif(shutil.which("busybox") is None, reason="no busybox here")
def test_a_program_of_the_machine_runs_there(root: Path) -> None:
    write_root(root / "root.tar")
    subprocess.run(["tar", "-xf", "root.tar"], check=True, cwd=root)
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/told").write_text('#!/bin/sh\necho "$0 $* $(pwd)"; cat /told; exit 3\n')
    (root / "usr/sbin/told").chmod(0o755)
    (root / "told").write_text("there\n")

    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command_there(command, root),
            capture_output=True,
            text=True,
            check=False,
            cwd=root,
            env={"PATH": "/bin:/usr/sbin"},
        )

    for name in ("told", "/usr/sbin/told"):
        done = ran(name, "a", "b c")
        assert (done.returncode, done.stdout) == (3, "/usr/sbin/told a b c /\nthere\n")
    done = ran("systemctl", "status")
    assert (done.returncode, done.stderr) == (1, "systemctl: No such file or directory\n")
