"""What goes wrong in a build, with NVIDIA's own TensorRT-RTX."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import onnx_made
from tests.agent.engines.test_worker_real import BATCHES, WORKER, job, run, the

pytestmark = pytest.mark.real

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"", "the file has no outputs"),
        (b"\x08\x08" + b"\xff" * 4096, "Failed to parse the ONNX model"),
        (onnx_made.detector()[:-1], "Failed to parse the ONNX model"),
    ],
)
def test_what_is_no_onnx(tmp_path: Path, model: bytes, words: str) -> None:
    code, events = run(job(tmp_path, model))
    assert (code, events[-1]["code"]) == (1, "engine.onnx")
    assert words in events[-1]["text"]
    assert events[-1]["hint"]


def test_an_onnx_that_is_not_there(tmp_path: Path) -> None:
    path = job(tmp_path, b"")
    (tmp_path / "model.onnx").unlink()
    code, events = run(path)
    assert (code, events[-1]["code"]) == (1, "engine.onnx")
    assert f"Input file cannot be found, or is not a regular file: {tmp_path}" in events[-1]["text"]


def external(folder: Path, *, data_bytes: int) -> Path:
    """A job whose model has this much beside it."""
    onnx = onnx_made.with_external_data(folder, data_bytes=data_bytes)
    rows = data_bytes // 4 // 1024
    sizes = {"min": [1, rows], "opt": [2, rows], "max": [4, rows]}
    return job(folder, onnx.read_bytes(), profiles=[{"x": sizes}])


def test_external_data_that_is_missing_is_named(tmp_path: Path) -> None:
    path = external(tmp_path, data_bytes=MIB)
    (tmp_path / "weights.bin").unlink()
    code, events = run(path)
    assert (code, events[-1]["code"]) == (1, "engine.onnx")
    assert f"Failed to open file: {tmp_path / 'weights.bin'}" in events[-1]["text"]


def test_external_data_that_was_cut_off(tmp_path: Path) -> None:
    path = external(tmp_path, data_bytes=MIB)
    os.truncate(tmp_path / "weights.bin", MIB // 2)
    code, events = run(path)
    assert (code, events[-1]["code"]) == (1, "engine.onnx")
    assert not (tmp_path / "model.plan").exists()


MEASURED = """\
import sys, tracemalloc
sys.path.insert(0, sys.argv.pop(1))
tracemalloc.start()
import worker
code = worker.main()
sys.stderr.write("\\npeak %d" % tracemalloc.get_traced_memory()[1])
sys.exit(code)
"""


def test_external_data_never_passes_through_the_workers_own_memory(tmp_path: Path) -> None:
    """TensorRT maps and reads it; neither it nor the plan, as large, becomes Python's."""
    path = external(tmp_path, data_bytes=112 * MIB)
    command = [sys.executable, "-c", MEASURED, str(WORKER.parent), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, events[-1]["event"]) == (0, "done")
    assert the(events, "built")["plan_bytes"] > 112 * MIB
    assert int(done.stderr.rpartition("peak ")[2]) < 16 * MIB


@pytest.mark.parametrize(
    ("batch", "profiles", "words"),
    [
        (2, [BATCHES], "min of 'images' is [1, 3, 64, 64], the model has [2, 3, 64, 64]"),
        (
            "batch",
            [{"images": {**BATCHES["images"], "min": [8, 3, 64, 64]}}],
            "profile 1: min, opt and max of 'images' do not ascend: [[8, 3, 64, 64], [4, ",
        ),
        (
            "batch",
            [BATCHES, {"images": {**BATCHES["images"], "max": [8, 3, 64]}}],
            "profile 2: max of 'images' is [8, 3, 64]",
        ),
    ],
)
def test_profiles_that_the_model_does_not_have(
    tmp_path: Path, batch: int | str, profiles: list[Any], words: str
) -> None:
    code, events = run(job(tmp_path, onnx_made.detector(batch=batch), profiles=profiles))
    assert (code, events[-1]["code"]) == (1, "engine.profile")
    assert words in events[-1]["text"]


def test_a_model_whose_sizes_are_fixed_needs_no_profile(tmp_path: Path) -> None:
    code, _ = run(job(tmp_path, onnx_made.detector(batch=2), profiles=[]))
    assert code == 0


ON_A_SMALL_DISK = """\
mount -t tmpfs -o size=64k tmpfs "$1" || exit 99
"$2" -I "$3" "$4"
code=$?
ls -A "$1" >&2
exit $code
"""


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A real one, of 64 KiB; the plan has 300."""
    disk = tmp_path / "disk"
    disk.mkdir()
    path = job(tmp_path, onnx_made.detector(), plan=str(disk / "model.plan"))
    arguments = ["sh", str(disk), sys.executable, str(WORKER), str(path)]
    command = ["unshare", "-m", "sh", "-c", ON_A_SMALL_DISK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (1, 99) and not done.stdout:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    failed = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, failed["code"]) == (1, "engine.storage")
    assert failed["text"] == f"{disk / 'model.plan'}: No space left on device"
    assert done.stderr.strip() == "", "something was left on the disk"


@pytest.fixture
def building(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A build that has begun and takes a while."""
    path = job(tmp_path, onnx_made.detector(blocks=400, channels=8))
    process = subprocess.Popen(
        [sys.executable, "-I", WORKER, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "parsed":
            break
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_ended_leaves_no_plan(
    building: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    building.send_signal(number)
    assert building.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 3)
    assert not (tmp_path / "model.plan").exists()


def test_a_timing_cache_is_nothing_for_tensorrt_rtx(tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    code, events = run(job(tmp_path, onnx_made.detector(), timing_cache=str(cache)))
    assert code == 0
    assert the(events, "message")["text"] == "TensorRT-RTX has no use for a timing cache"
    assert not cache.exists()
