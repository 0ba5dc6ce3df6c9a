"""The private folder of tunnels."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.link.folder import private_folder, socket_path, sweep


def test_the_runtime_folder_is_used(tmp_path: Path) -> None:
    folder = private_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert folder == tmp_path / "roost"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("given", [None, "/nowhere/at/all"])
def test_without_one_it_is_in_tmp(given: str | None, tmp_path: Path) -> None:
    environment = {} if given is None else {"XDG_RUNTIME_DIR": given}
    folder = private_folder(environment, temporary=tmp_path)
    assert folder == tmp_path / f"roost-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(environment, temporary=tmp_path) == folder


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / f"roost-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ProblemError) as caught:
        private_folder({}, temporary=tmp_path)
    assert caught.value.code == "link.socket_path"


def test_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"roost-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProblemError):
        private_folder({}, temporary=tmp_path)


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    assert len(os.fsencode(socket_path(Path("/run/user/1000/roost"), "0123456789ab"))) <= 100
    with pytest.raises(ProblemError) as caught:
        socket_path(Path("/" + "x" * 90), "0123456789ab")
    assert (caught.value.code, "XDG_RUNTIME_DIR" in (caught.value.hint or "")) == (
        "link.socket_path",
        True,
    )


def test_sockets_of_consoles_that_are_no_more_are_swept(short_folder: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"{gone.pid}-aa", f"{os.getpid()}-bb", "other.sock"]
    for name in names:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(short_folder / name))
    (short_folder / f"{gone.pid}-note.txt").write_text("not a socket")
    sweep(short_folder)
    assert {path.name for path in short_folder.iterdir()} == {*names[1:], f"{gone.pid}-note.txt"}
