"""Paths of a machine whose root is not this process's."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agent.host.real_paths import below, real_path


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


def test_of_this_machine_it_is_what_the_path_is(root: Path) -> None:
    assert real_path(str(root / "allowed/up")) == root / "data"
