"""Files that are whole whenever they are seen."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent import durable
from agent.durable import appearing, sync_folder, write_whole

OLD, NEW = b"old " * 100_000, b"new " * 200_000

# Writes NEW over the file, and is killed at its n-th call of something that touches the disk.
CRASHING = """
import os, pathlib, signal, sys
from agent.durable import write_whole

calls = 0

def dying(call):
    def step(*args, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)
    return step

os.fchmod = dying(os.fchmod)
os.fsync = dying(os.fsync)
pathlib.Path.replace = dying(pathlib.Path.replace)
write_whole(pathlib.Path(sys.argv[1]), b"new " * 200_000)
"""


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, OLD), (2, OLD), (3, OLD), (4, NEW)],
    ids=["before content", "before its sync", "before the name", "before the folder"],
)
def test_a_crash_leaves_one_or_the_other(tmp_path: Path, step: int, expected: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(OLD)
    done = subprocess.run(
        [sys.executable, "-c", CRASHING, str(file), str(step)], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert file.read_bytes() == expected
    # What a crash leaves beside it does not grow, and is not in the way of the next.
    strays = [path.name for path in tmp_path.iterdir() if path != file]
    assert all(name.startswith(".a.json.") and name.endswith(".tmp") for name in strays)
    assert len(strays) == (expected == OLD)
    write_whole(file, NEW)
    assert file.read_bytes() == NEW


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        facts = os.fstat(handle)
        steps.append("folder" if stat.S_ISDIR(facts.st_mode) else f"{facts.st_size} bytes")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        steps.append(f"renamed to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_whole(tmp_path / "a", b"three")
    assert steps == ["5 bytes", "renamed to a", "folder"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_stray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "a"
    file.write_bytes(OLD)
    monkeypatch.setattr(os if failing == "fsync" else Path, failing, full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, NEW)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", OLD)]


def test_a_block_that_fails_leaves_nothing_and_fails_as_it_did(tmp_path: Path) -> None:
    def interrupted() -> None:
        with appearing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_nothing_has_the_name_before_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with appearing(path) as file:
        file.write(NEW)
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666])
def test_the_mode_is_as_said_whatever_the_umask_and_the_old_file(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a"
    file.touch(mode=0o604)
    before = os.umask(0o027)
    try:
        write_whole(file, b"x", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_secret_is_never_open_to_others(tmp_path: Path) -> None:
    with appearing(tmp_path / "a") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_filesystem_without_modes_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refused)
    write_whole(tmp_path / "a", b"x", mode=0o644)
    assert (tmp_path / "a").read_bytes() == b"x"


def test_two_writers_at_once_are_not_in_each_others_way(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with appearing(path) as one, appearing(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"one")]


@pytest.mark.parametrize(("error", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced_is_no_error_one_that_fails_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, *, passes: bool
) -> None:
    def failing(_: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", failing)
    if passes:
        sync_folder(tmp_path)
    else:
        with pytest.raises(OSError, match="Input/output"):
            sync_folder(tmp_path)


class CutError(BaseException):
    """The power is gone."""


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "file").write_text(text)
    return path


def cannot(*_: Path) -> None:
    raise OSError(errno.EINVAL, "not on this filesystem")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(durable, "_exchange", cannot)
    place, beside = folder(tmp_path / "place", "old"), folder(tmp_path / "beside", "")
    durable.take_place(folder(beside / "new", "new"), place, before=beside / "before")
    assert (place / "file").read_text() == "new"
    left = [each.read_text() for each in beside.glob("*/file")]
    assert left == ["old"]
    durable.take_place(folder(tmp_path / "first", "first"), tmp_path / "x", before=beside / "y")
    assert (tmp_path / "x" / "file").read_text() == "first"


def test_there_is_always_a_folder_at_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before any of the steps."""
    place, new = folder(tmp_path / "place", "old"), folder(tmp_path / "new", "new")

    def cut(*_: object) -> None:
        raise CutError

    for module, name in ((Path, "rename"), (durable, "_exchange"), (durable, "sync_folder")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, cut)
            with contextlib.suppress(CutError):
                durable.take_place(new, place, before=tmp_path / "before")
        assert (place / "file").read_text() in {"old", "new"}
        assert not (tmp_path / "before").exists()


def test_what_cannot_take_the_place_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_exchange", cannot)
    place = folder(tmp_path / "place", "old")
    with pytest.raises(FileNotFoundError):
        durable.take_place(tmp_path / "no such", place, before=tmp_path / "before")
    assert (place / "file").read_text() == "old"
