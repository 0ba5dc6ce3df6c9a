"""Snapshots as files, whole and not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.archives.bundle_planning import plan_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.bundle_writing import write_bundle
from agent.archives.indexing import index_archive
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import FORMAT
from console.snapshots.snapshot_file import read_snapshot, write_snapshot
from tests.archives_made import Made, docker_archive, layer
from tests.console.snapshots.made import applied, snapshot

LAYER = layer("one", 100_000)
MADE = snapshot(workloads=[applied()])


def refused(path: Path) -> str:
    with pytest.raises(ProblemError) as found:
        read_snapshot(path)
    assert str(path) in found.value.detail
    return found.value.code


def with_image(folder: Path) -> Path:
    archive = folder / "app.tar"
    archive.write_bytes(docker_archive([Made([LAYER], tags=["app:1"])]))
    file = folder / "old.snapshot"
    write_snapshot(file, MADE, [index_archive(archive)])
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain.snapshot"
    write_snapshot(plain, MADE)
    found = read_snapshot(plain)
    assert found.snapshot == MADE
    assert not found.carries
    assert plain.stat().st_mode & 0o777 == 0o600

    whole = read_snapshot(with_image(tmp_path))
    assert whole.snapshot == MADE
    assert whole.carries
    assert [image.tags for image in whole.bundle.index.images] == [["app:1"]]
    # Every entry is there as its manifest says; bundles' readers take it for one of theirs.
    assert verify_bundle(whole.path).id == whole.id
    assert whole.id != found.id


def test_what_is_no_snapshot(tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(docker_archive([Made([LAYER], tags=["app:1"])]))
    assert refused(archive) == "snapshot.unknown"
    bundle = tmp_path / "app.bundle"
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    write_bundle(bundle, plan, sign=None)
    assert refused(bundle) == "snapshot.unknown"
    assert refused(tmp_path / "lost.snapshot") == "archive.unreadable"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"format": FORMAT + 1, "other": True}, "snapshot.newer"),
        ({"format": FORMAT, "node": 5}, "snapshot.damaged"),
        ({"node": "cam"}, "snapshot.damaged"),
        ([], "snapshot.damaged"),
    ],
)
def test_what_another_roost_wrote(tmp_path: Path, document: object, code: str) -> None:
    file = tmp_path / "new.snapshot"
    content = msgspec.json.encode(document)
    write_bundle(file, plan_bundle([], since=None, created_at=1.0, snapshot=content), sign=None)
    assert refused(file) == code


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_one_is_told_or_as_it_was(tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere, or with any byte changed: never another snapshot."""
    file = tmp_path / "old.snapshot"
    if not (tmp_path / "good").exists():
        with_image(tmp_path).rename(tmp_path / "good")
    whole = (tmp_path / "good").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        file.write_bytes(whole[:at])
        with pytest.raises(ProblemError):
            read_snapshot(file)
        return
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
    with suppress(ProblemError):
        assert read_snapshot(file).snapshot == MADE
    # What is not read now is in a layer, which is verified before it is used.
    with pytest.raises(ProblemError):
        verify_bundle(file)


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as found:
        write_snapshot(tmp_path / "no" / "folder.snapshot", MADE)
    assert found.value.code == "bundle.unwritable"
