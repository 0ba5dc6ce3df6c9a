"""The installer of a kit, on folders of its own; whole machines are tried in test_install_real."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.kit import installer
from tests.kits_made import INSTALLER, TOLD, small_kit

ME = installer.Python(sys.executable, ".".join(map(str, sys.version_info[:2])))


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own, as far as paths go, with the Python that runs the tests."""
    root = tmp_path / "machine"
    for name, path in {
        "ROOT": "opt/roost",
        "CONFIG": "etc/roost",
        "STATE": "var/lib/roost",
        "UNIT": "etc/systemd/system/roost-agent.service",
        "COMMAND": "usr/local/bin/roost-agent",
        "TRIAL": "opt/roost/trial.json",
    }.items():
        monkeypatch.setattr(installer, name, root / path)
    (root / "etc" / "systemd" / "system").mkdir(parents=True)
    monkeypatch.setattr(installer, "has_systemd", lambda: False)
    monkeypatch.setattr(installer, "group_id", lambda: 1)
    monkeypatch.setattr(installer, "pythons_here", lambda: [ME])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return root


def install(path: Path) -> list[str]:
    said: list[str] = []
    installer.install(installer.Kit(path), said.append)
    return said


def refusal(path: Path) -> str:
    with pytest.raises(installer.KitError) as caught:
        install(path)
    assert caught.value.hint
    return str(caught.value.code)


def test_an_old_python_can_read_it() -> None:
    """So that it can say which Python is wanted."""
    ast.parse(INSTALLER.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_it_installs_and_what_it_installed_runs_alone(tmp_path: Path, places: Path) -> None:
    kit = small_kit(tmp_path)
    assert install(kit)[-1] == "agent 1.0.0 is installed"
    program = places / "usr/local/bin/roost-agent"
    assert (places / "opt/roost/current").readlink() == Path("1.0.0-abc")
    done = subprocess.run([program.resolve()], capture_output=True, text=True, check=True)
    assert done.stdout == f"{TOLD}\n"
    library = places / "opt/roost/1.0.0-abc/lib"
    assert (library / "beside.py").is_file()
    assert not (library / "hello-1.data").exists()
    assert (places / "etc/systemd/system/roost-agent.service").is_file()
    assert (places / "etc/roost/secrets").stat().st_mode & 0o777 == 0o700
    assert installer.installed() == {"version": "1.0.0", "id": "1.0.0-abc"}


def test_again_changes_nothing_and_keeps_the_configuration(tmp_path: Path, places: Path) -> None:
    kit = small_kit(tmp_path)
    install(kit)
    (places / "etc/roost/agent.yaml").write_text("name: mine\n")
    inode = (places / "opt/roost/1.0.0-abc").stat().st_ino
    install(kit)
    assert (places / "etc/roost/agent.yaml").read_text() == "name: mine\n"
    assert (places / "opt/roost/1.0.0-abc").stat().st_ino == inode
    assert "is there already" in installer.plan(installer.Kit(kit), "")[0]


def test_what_a_cut_left_is_begun_anew(tmp_path: Path, places: Path) -> None:
    for left in (".1.0.0-abc.part/lib/half", "1.0.0-abc/lib/half"):
        path = places / "opt/roost" / left
        path.parent.mkdir(parents=True)
        path.write_text("half")
    install(small_kit(tmp_path))
    assert not list(places.rglob("half"))
    assert sorted(each.name for each in (places / "opt/roost").iterdir()) == [
        "1.0.0-abc",
        "current",
        "start",
    ]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({"arch": "s390x"}, "kit.arch"),
        ({"pythons": ["3.7"]}, "kit.python"),
        ({"wheel": b"not what the list says"}, "kit.broken"),
        ({"glibc": "9.99"}, "kit.libc"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(
    tmp_path: Path, places: Path, made: dict[str, Any], code: str
) -> None:
    assert refusal(small_kit(tmp_path, **made)) == code
    assert not (places / "opt/roost/current").exists()
    assert not (places / "etc/roost").exists()


def test_a_kit_that_was_cut_is_no_kit(tmp_path: Path) -> None:
    kit = small_kit(tmp_path)
    kit.write_bytes(kit.read_bytes()[:-100])
    assert refusal(kit) == "kit.broken"


def test_too_little_room_is_seen_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "free_bytes", lambda _place: 10 << 20)
    assert refusal(small_kit(tmp_path)) == "kit.no_space"


def test_not_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert refusal(small_kit(tmp_path)) == "kit.root"


def test_uninstall_leaves_data_unless_told(tmp_path: Path, places: Path) -> None:
    said: list[str] = []
    install(small_kit(tmp_path))
    installer.uninstall(said.append, everything=False)
    assert not (places / "opt/roost").exists()
    assert not (places / "usr/local/bin/roost-agent").is_symlink()
    assert not (places / "etc/systemd/system/roost-agent.service").exists()
    assert (places / "var/lib/roost").is_dir()
    assert said[-1].startswith("the agent is gone, kept: ")
