"""worker.py against the recorded surface of each TensorRT, and a stub of libcuda (no GPU).

Not TensorRT: see tests/tensorrt_api. What these tests show is that the worker uses names and
arguments which that version has, and what it makes of the answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests import onnx_made
from tests.agent.engines.versions_side import ITEM_BYTES, RANGE, VERSIONS, Side, model
from tests.libcuda_stub.build import build

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("libcuda"))


@pytest.fixture
def side(tmp_path: Path, libcuda: Path, request: pytest.FixtureRequest) -> Side:
    return Side(getattr(request, "param", "10.3.0"), tmp_path, libcuda)


every_version = pytest.mark.parametrize("side", VERSIONS, indirect=True)


@every_version
def test_an_engine_is_built_and_run(side: Side) -> None:
    ended = side.run()
    assert (ended.code, ended.last["event"], ended.held) == (0, "done", 0), ended
    told = ended.the("versions")
    assert (told["flavour"], told["tensorrt"], told["gpu"]) == ("tensorrt", side.version, 1)
    assert ended.the("parsed")["inputs"][0]["shape"] == [-1, 3, 4, 4]
    checked = ended.the("checked")
    assert (checked["state"], checked["reason"]) == ("ran", None)
    measured = [
        (each["batch"], each["p50_ms"], each["p99_ms"], each["mean_ms"], each["throughput"])
        for each in checked["latencies"]
    ]
    # The stub takes 1 ms for an item.
    assert measured == [(n, n, n, n, 1000.0) for n in (4, 1, 8)]
    assert checked["latencies"][0]["shapes"] == {"images": [4, 3, 4, 4]}
    assert checked["latencies"][0]["iterations"] == 10
    told = {"shape": [-1, 3, 4, 4], "dtype": "float", "host": False, "linear": True}
    assert checked["tensors"] == {
        "inputs": [{"name": "images", **told}],
        "outputs": [{"name": "boxes", **told}],
        "profiles": [{"images": [RANGE["min"], RANGE["opt"], RANGE["max"]]}],
    }
    (output,) = checked["outputs"]
    assert (output["name"], output["shape"], output["dtype"]) == ("boxes", [4, 3, 4, 4], "float")
    assert (output["bytes"], output["nan"]) == (4 * ITEM_BYTES, 0)
    memory = checked["gpu_memory"]
    # Inputs and outputs of the largest batch.
    assert memory == {"before_bytes": 0, "engine_bytes": 16 * ITEM_BYTES, "after_bytes": 0}
    assert checked["compared"] is None
    assert "previous: there are no outputs of it" in checked["not_compared"]


GRAPHS = {"iterations": 10, "warmup": 2, "cuda_graphs": True}


@every_version
def test_an_engine_as_a_cuda_graph(side: Side) -> None:
    ended = side.run(validation=GRAPHS)
    assert (ended.code, ended.held) == (0, 0), ended
    measured = [
        (each["batch"], each["p50_ms"], each["graph"]["p50_ms"], each["graph"]["throughput"])
        for each in ended.the("checked")["latencies"]
    ]
    # The stub takes half of the time for what a graph launches.
    assert measured == [(n, n, n / 2, 2000.0) for n in (4, 1, 8)]


@pytest.mark.parametrize(
    ("captured", "why"),
    [
        ("refuse", "cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"),
        ("elsewhere", "nothing of it came onto the stream that was captured"),
    ],
)
def test_an_engine_that_is_no_graph_is_measured_without(
    side: Side, captured: str, why: str
) -> None:
    job = side.job(model(), validation=GRAPHS)
    ended = side.run_job(job, ROOST_CUDA_STUB_CAPTURE=captured)
    assert (ended.code, ended.held) == (0, 0), ended
    latencies = ended.the("checked")["latencies"]
    assert [each["p50_ms"] for each in latencies] == [4, 1, 8]
    for each in latencies:
        assert "graph" not in each
        assert each["no_graph"].startswith(why)
        assert ("toy: enqueue failed with 900" in each["no_graph"]) == (captured == "refuse")


@every_version
def test_two_profiles(side: Side) -> None:
    second = {"min": [8, 3, 4, 4], "opt": [16, 3, 4, 4], "max": [16, 3, 4, 4]}
    profiles = [{"images": RANGE}, {"images": second}]
    ended = side.run(profiles=profiles)
    tried = [(each["profile"], each["batch"]) for each in ended.the("checked")["latencies"]]
    assert tried == [(0, 4), (0, 1), (0, 8), (1, 16), (1, 8)]
    validation = {"batches": [16, 8, 3], "iterations": 1, "warmup": 0}
    ended = side.run_job(side.job(model(), profiles=profiles, validation=validation))
    tried = [(each["profile"], each["batch"]) for each in ended.the("checked")["latencies"]]
    assert tried == [(0, 8), (0, 3), (1, 16), (1, 8)]
    assert ended.held == 0


@every_version
def test_a_plan_of_another_version_is_not_taken(side: Side) -> None:
    assert side.run().code == 0
    plan = side.folder / "model.plan"
    data = bytearray(plan.read_bytes())
    data[24] += 1
    plan.write_bytes(bytes(data))
    ended = side.run(action="check")
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.unfit", 0)
    assert "toy: expecting library version" in ended.last["text"]


@every_version
def test_the_parsers_error(side: Side) -> None:
    error = {"desc": "no such operator", "node": 3, "name": "/nms", "operator": "Frobnicate"}
    ended = side.run({"error": error})
    assert (ended.code, ended.last["code"]) == (1, "engine.onnx")
    (problem,) = ended.last["problems"]
    assert (problem["index"], "no such operator" in problem["text"]) == (3, True)
    # ParserError has the node's name and operator from TensorRT 10 on.
    assert problem["node"] == ("/nms" if side.version.startswith("1") else None)


@every_version
def test_without_a_gpu_the_plan_is_not_tried(side: Side) -> None:
    ended = Side(side.version, side.folder).run()
    assert ended.code == 0
    checked = ended.the("checked")
    assert checked["state"] == "header"
    assert checked["reason"].startswith("there is no GPU here to try it on: libcuda.so.1")


def starts(python: str | Path) -> bool:
    """A shim may be there without what it stands for."""
    done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


def test_a_python_of_3_8(side: Side) -> None:
    """Its own interpreter where there is one; a worker that only parses may still not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which("python3.8"), *pyenv.glob("3.8.*/bin/python3.8")]
    python = next((str(each) for each in found if each is not None and starts(each)), None)
    if python is None:
        pytest.skip("there is no python3.8 here: only its grammar was checked")
    for version in ("8.4.0", "10.13.3.9"):
        ended = Side(version, side.folder, side.libcuda, python).run()
        assert (ended.code, ended.the("checked")["state"]) == (0, "ran"), ended
        assert ended.the("versions")["python"].startswith("3.8.")


# How an engine is judged; of one version each, since it is not TensorRT that does it.


def test_inputs_are_the_same_each_time(side: Side) -> None:
    first, second = side.run(), side.run()
    assert first.the("checked")["outputs"] == second.the("checked")["outputs"]


@pytest.mark.parametrize("kept", [1, 4, 6])
def test_inputs_from_files(side: Side, tmp_path: Path, kept: int) -> None:
    """The file's items again and again, or as many as are wanted."""
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    data = b"".join(struct.pack("<f", n) for n in range(kept * ITEM_BYTES // 4))
    (inputs / "images.bin").write_bytes(data)
    validation = {"inputs": str(inputs), "keep_outputs": str(outputs)}
    ended = side.run(validation=validation)
    assert ended.code == 0, ended
    wanted = (data * 4)[: 4 * ITEM_BYTES]
    assert (outputs / "boxes.bin").read_bytes() == wanted
    (output,) = ended.the("checked")["outputs"]
    assert output["sha256"] == hashlib.sha256(wanted).hexdigest()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "No such file"),
        (b"", "has 0 bytes"),
        (b"1234567", "has 7 bytes, an item of 'images'"),
    ],
)
def test_inputs_that_do_not_fit(side: Side, tmp_path: Path, data: bytes | None, words: str) -> None:
    if data is not None:
        (tmp_path / "images.bin").write_bytes(data)
    ended = side.run(validation={"inputs": str(tmp_path)})
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.inputs", 0)
    assert words in ended.last["text"]


def test_outputs_are_compared_with_earlier_ones(side: Side, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert side.run(validation={"keep_outputs": str(kept)}).code == 0
    ended = side.run(validation={"compare": str(kept)})
    assert ended.the("checked")["compared"] == {
        "with": "previous",
        "ok": True,
        "max_abs": 0.0,
        "max_rel": 0.0,
        "reason": None,
    }
    values = list(struct.unpack("<192f", (kept / "boxes.bin").read_bytes()))
    values[7] += 1.0
    values[8] += 0.001
    (kept / "boxes.bin").write_bytes(struct.pack("<192f", *values))
    ended = side.run(validation={"compare": str(kept)})
    assert (ended.code, ended.last["code"]) == (1, "engine.outputs")
    compared = ended.the("checked")["compared"]
    assert (compared["ok"], round(compared["max_abs"], 4)) == (False, 1.0)
    assert "1 of 192 values of 'boxes'" in ended.last["text"]
    ended = side.run(validation={"compare": str(kept), "atol": 2.0})
    assert (ended.code, ended.the("checked")["compared"]["ok"]) == (0, True)


def test_outputs_of_another_size_are_not_compared(side: Side, tmp_path: Path) -> None:
    (tmp_path / "boxes.bin").write_bytes(b"1234")
    ended = side.run(validation={"compare": str(tmp_path)})
    assert (ended.code, ended.the("checked")["compared"]) == (0, None)
    assert "previous: 'boxes' has another size now" in ended.the("checked")["not_compared"]


def put_values(path: Path, *first: float) -> None:
    """Of one item: these, and then halves."""
    values = [*first, *[0.5] * (ITEM_BYTES // 4 - len(first))]
    path.write_bytes(struct.pack(f"<{len(values)}f", *values))


def test_nan_and_infinity_are_refused_unless_said_otherwise(side: Side, tmp_path: Path) -> None:
    put_values(tmp_path / "images.bin", 1.0, float("nan"), float("inf"))
    given = {"inputs": str(tmp_path), "keep_outputs": str(tmp_path / "kept")}
    ended = side.run(validation=given)
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.outputs", 0)
    assert "of 'boxes' 4 values are NaN and 4 infinite" in ended.last["text"]
    assert "not_finite: true" in ended.last["hint"]
    (output,) = ended.the("checked")["outputs"]
    assert (output["nan"], output["infinite"]) == (4, 4)
    assert side.run(validation={**given, "not_finite": True}).code == 0
    again = side.run(validation={**given, "compare": str(tmp_path / "kept")})
    assert (again.code, again.the("checked")["compared"]["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("nan", "0.5"), ("inf", "0.5"), ("0.5", "inf"), ("0.5", "nan"), ("-inf", "inf")],
)
def test_nan_and_infinity_on_one_side_only(
    side: Side, tmp_path: Path, ours: str, theirs: str
) -> None:
    put_values(tmp_path / "images.bin", float(ours))
    before = tmp_path / "before"
    before.mkdir()
    item = [float(theirs), *[0.5] * (ITEM_BYTES // 4 - 1)]
    (before / "boxes.bin").write_bytes(struct.pack(f"<{4 * len(item)}f", *item * 4))
    given = {"inputs": str(tmp_path), "compare": str(before), "not_finite": True, "rtol": 1.0}
    ended = side.run(validation=given)
    assert (ended.code, ended.last["code"]) == (1, "engine.outputs")
    assert "4 of 192 values of 'boxes', 4 of them NaN or infinite" in ended.last["text"]


def test_an_engine_that_is_too_slow(side: Side) -> None:
    ended = side.run(validation={"max_latency_ms": 3.5, "batches": [2, 4]})
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.latency", 0)
    assert "batch 4 take up to 4 ms, more than 3.5" in ended.last["text"]
    assert side.run(validation={"max_latency_ms": 3.5, "batches": [2, 3]}).code == 0
    assert side.run(validation={"max_latency_ms": 4.5}).code == 1, "the largest batch is 8"


def test_batches_that_no_profile_takes(side: Side) -> None:
    ended = side.run(validation={"batches": [9, 10]})
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.profile", 0)
    assert "no profile of the engine takes a batch of 9 or 10" in ended.last["text"]


def test_a_check_needs_no_recipe(side: Side) -> None:
    """Of a plan that was brought here, there is none."""
    assert side.run().code == 0
    job = side.folder / "job.json"
    plan = str(side.folder / "model.plan")
    job.write_text(json.dumps({"action": "check", "plan": plan, "flavour": "tensorrt"}))
    ended = side.run_job(job)
    checked = ended.the("checked")
    assert (ended.code, checked["state"], len(checked["latencies"])) == (0, "ran", 3)
    assert [event["event"] for event in ended.events] == ["versions", "checked", "done"]


def test_no_iterations(side: Side) -> None:
    checked = side.run(validation={"iterations": 0}).the("checked")
    assert (checked["state"], checked["reason"]) == (
        "deserialised",
        "no iterations were asked for",
    )
    assert checked["gpu_memory"] == {"before_bytes": 0, "engine_bytes": 0, "after_bytes": 0}


def test_a_model_whose_sizes_are_fixed(side: Side) -> None:
    fixed = model(inputs={"x": ["FLOAT", [2, 8]]}, outputs={"y": ["FLOAT", [2, 8]]})
    ended = side.run(fixed, profiles=[])
    (latency,) = ended.the("checked")["latencies"]
    assert (latency["batch"], latency["shapes"]) == (2, {"x": [2, 8]})


@pytest.mark.parametrize("side", ["8.4.0", "10.3.0"], indirect=True)
def test_an_engine_that_does_not_run(side: Side) -> None:
    ended = side.run(model(fails="toy: no kernel image is available"))
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.unfit", 0)
    assert "the engine does not run with" in ended.last["text"]
    assert "toy: no kernel image is available" in ended.last["text"]


def test_an_engine_that_is_not_taken(side: Side) -> None:
    ended = side.run(model(unfit="toy: not for this GPU"))
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.unfit", 0)
    assert "toy: not for this GPU" in ended.last["text"]


def test_too_little_memory_on_the_gpu(side: Side) -> None:
    big = model(
        inputs={"images": ["FLOAT", [-1, 1024, 1024]]},
        outputs={"boxes": ["FLOAT", [-1, 1024, 1024]]},
    )
    sizes = {"min": [1, 1024, 1024], "opt": [1, 1024, 1024], "max": [2, 1024, 1024]}
    job = side.job(big, profiles=[{"images": sizes}], validation={"iterations": 1})
    ended = side.run_job(job, ROOST_CUDA_STUB_MEMORY="12")
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.memory", 0)
    assert "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY" in ended.last["text"]


def test_shape_tensors_are_told_and_not_guessed(side: Side) -> None:
    with_host = model(inputs={"images": ["FLOAT", [2, 8]], "host_size": ["INT32", [2]]})
    checked = side.run(with_host, profiles=[]).the("checked")
    assert (checked["state"], checked.get("latencies")) == ("deserialised", None)
    assert checked["reason"] == "'host_size' is a shape tensor, which lies on the host"
    tensors = checked["tensors"]
    assert [each["host"] for each in tensors["inputs"]] == [False, True]
    assert tensors["profiles"] == [{"images": [[2, 8]] * 3}]


@pytest.mark.timeout(180)  # it runs the worker some fifty times
def test_whichever_driver_call_fails_nothing_stays_behind(side: Side) -> None:
    plan = side.run(validation={"iterations": 0})
    assert plan.code == 0
    job = side.job(
        model(), action="check", validation={"iterations": 1, "warmup": 0, "batches": [1]}
    )
    calls = side.run_job(job).calls
    outcomes = []
    for number in range(1, calls + 1):
        ended = side.run_job(job, ROOST_CUDA_STUB_FAIL=f"{number} 700")
        if ended.code == 0:
            outcomes.append("no GPU")  # while it is looked for
            told = (ended.the("versions")["no_gpu"], ended.the("checked")["reason"])
            assert any("CUDA_ERROR_ILLEGAL_ADDRESS" in each for each in told if each)
            assert ended.held == 0
            continue
        outcomes.append("failed")
        assert ended.last["code"] == "engine.unfit", ended
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in ended.last["text"]
        call = ended.last["text"].partition(":")[0]
        gives_back = any(word in call for word in ("Free", "Destroy", "Release"))
        assert ended.held == int(gives_back), ended.last
    looking = outcomes.index("failed")
    assert outcomes == ["no GPU"] * looking + ["failed"] * (calls - looking)
    assert (looking, calls - looking > 25) == (11, True)


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_outputs_beside_those_of_onnxruntime(side: Side, off: float) -> None:
    """The real one, on the CPU: x + `off`. The toy's engine gives x."""
    path = side.job(model())
    onnx = side.folder / "model.onnx"
    onnx.rename(side.folder / "model.onnx.toy")
    shape: list[int | str] = ["batch", 3, 4, 4]
    add = onnx_made.node("Add", ["images", "off"], "boxes", name="/add")
    number = onnx_made.constant("off", [off])
    onnx.write_bytes(onnx_made.model([add], [number], inputs={"images": shape}, outputs=["boxes"]))
    ended = side.run_job(path)
    compared = ended.the("checked")["compared"]
    assert (compared["with"], compared["ok"]) == ("onnxruntime", not off)
    assert compared["max_abs"] == pytest.approx(off, abs=1e-6)
    assert ended.last.get("code") == ("engine.outputs" if off else None)


def test_without_onnxruntime_that_is_said(side: Side) -> None:
    hidden = side.folder / "hidden"
    hidden.mkdir()
    (hidden / "onnxruntime.py").write_text("raise ImportError('it is hidden')\n")
    path = f"{hidden}:{side.environment()['PYTHONPATH']}"
    side.run()
    checked = side.run_job(side.job(model()), PYTHONPATH=path).the("checked")
    assert checked["not_compared"].startswith("onnxruntime: not installed")
    checked = side.run(validation={"onnxruntime": False}).the("checked")
    assert checked["not_compared"].startswith("onnxruntime: not asked for")
