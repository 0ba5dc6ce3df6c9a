"""Digests of models, and the names of their external data."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from agent.engines.onnx_file import Digests
from agent.protocol.problems import ProblemError
from tests import onnx_made


def refused(path: Path) -> str:
    with pytest.raises(ProblemError) as caught:
        Digests().of(path)
    assert caught.value.code == "engine.onnx"
    return caught.value.detail


def named(path: Path, location: str) -> Path:
    tensor = onnx_made.external_weights("w", (4, 4), location)
    path.write_bytes(onnx_made.model([], [tensor], inputs={}, outputs=[]))
    return path


def test_a_model_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_made.detector())
    digests = Digests().of(path)
    assert digests.model == hashlib.sha256(onnx_made.detector()).hexdigest()
    assert digests.external == {}


def test_external_data_never_passes_through_memory(tmp_path: Path) -> None:
    path = onnx_made.with_external_data(tmp_path, data_bytes=128 * 1024 * 1024)
    tracemalloc.start()
    try:
        digests = Digests().of(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(digests.external) == ["weights.bin"]
    assert peak < 8 * 1024 * 1024


def test_a_change_is_seen(tmp_path: Path) -> None:
    path = onnx_made.with_external_data(tmp_path, data_bytes=1024 * 1024)
    digests = Digests()
    before = digests.of(path)
    assert digests.of(path) == before
    (tmp_path / "weights.bin").write_bytes(b"other")
    after = digests.of(path)
    assert after.model == before.model
    assert after.external == {"weights.bin": hashlib.sha256(b"other").hexdigest()}


def test_a_model_of_another_root_keeps_the_name_that_it_has_there(tmp_path: Path) -> None:
    """As an agent in a container has it, whose machine may have linked it from elsewhere."""
    (tmp_path / "disk").mkdir()
    onnx_made.with_external_data(tmp_path / "disk", data_bytes=1024)
    (tmp_path / "srv").symlink_to("/disk")
    (name,) = [each.name for each in (tmp_path / "disk").glob("*.onnx")]
    digests = Digests(tmp_path)
    found = digests.of(Path("/srv", name))
    assert [file.path for file in found.files] == [f"/srv/{name}", "/srv/weights.bin"]
    assert not any(digests.changed(file) for file in found.files)
    (tmp_path / "disk/weights.bin").unlink()
    with pytest.raises(ProblemError) as caught:
        digests.of(Path("/srv", name))
    assert caught.value.detail == "/srv/weights.bin: No such file or directory"


@pytest.mark.parametrize("location", ["../secret", "/etc/shadow", "a/../../b"])
def test_data_outside_of_the_folder(tmp_path: Path, location: str) -> None:
    assert "outside of its folder" in refused(named(tmp_path / "m.onnx", location))


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert "weights/w0" in refused(named(tmp_path / "m.onnx", "weights/w0"))


@pytest.mark.parametrize("length", [0, 1, 100, 3000])
def test_a_model_that_ends_early(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_made.detector()[:length])
    assert "is not a whole ONNX model" in refused(path)


@pytest.mark.parametrize("data", [b"hello, this is text", b"\xff" * 100, b"\x07"])
def test_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert "is not a whole ONNX model" in refused(path)
