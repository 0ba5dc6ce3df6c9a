"""What worker.py makes of a recipe with each TensorRT: recorded surfaces, not TensorRT itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.engines import worker
from tests.agent.engines.versions_side import (
    RANGE,
    RECORDS,
    RTX,
    SHAPE,
    VERSIONS,
    Side,
    model,
)
from tests.libcuda_stub.build import build

pytestmark = pytest.mark.timeout(60)
HALF = model(
    inputs={"images": ["HALF", [-1, 3, 4, 4]]},
    outputs={"boxes": ["HALF", [-1, 3, 4, 4]]},
    layers=[["CONVOLUTION", "HALF"]],
)
QUANTIZED = model(layers=[["QUANTIZE", "INT8"], ["CONVOLUTION", "FLOAT"]])
WITHOUT_STRONG_TYPES = ("8.4.0", "8.6.1")
WITHOUT_FLAGS = ("11.4.0.106",)
WITH_FLAGS = [version for version in VERSIONS if version not in WITHOUT_FLAGS]
every_version = pytest.mark.parametrize("side", VERSIONS, indirect=True)


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("libcuda"))


@pytest.fixture
def side(tmp_path: Path, libcuda: Path, request: pytest.FixtureRequest) -> Side:
    return Side(getattr(request, "param", "10.3.0"), tmp_path, libcuda)


@every_version
def test_as_the_onnx_has_it(side: Side) -> None:
    """Strongly typed where there is that; else the flags of what is in the model."""
    assert side.run(HALF).code == 0
    built = side.plan()
    weak = side.version in WITHOUT_STRONG_TYPES
    assert built["flags"] == (["FP16"] if weak else [])
    explicit, strong = (1, 0) if weak else (0, 1) if side.version in WITHOUT_FLAGS else (1, 2)
    assert built["network_flags"] == explicit + strong
    assert side.run(QUANTIZED).code == 0
    assert side.plan()["flags"] == (["INT8"] if weak else [])


@every_version
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp8", "best"])
def test_what_the_builder_may_use_beside_it(side: Side, precision: str) -> None:
    ended = side.run(precision=precision, validation={"iterations": 0})
    flags = {"best": ["FP16"]}.get(precision, [precision.upper()])
    has = ended.the("versions")["precision_flags"]
    if all(flag.lower() in has for flag in flags) and has:
        assert (ended.code, side.plan()["flags"]) == (0, flags)
        assert side.plan()["network_flags"] in (0, 1)
        return
    assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
    assert f"{side.version} has no precision flag" in ended.last["text"]
    assert "modelopt.onnx.autocast" in ended.last["hint"]
    assert not (side.folder / "model.plan").exists()


@every_version
def test_fp16_of_a_model_that_is_fp16(side: Side) -> None:
    """A version without the flag builds it as it is: its types are what was asked for."""
    ended = side.run(HALF, precision="fp16")
    assert ended.code == 0, ended.last
    without = side.version in WITHOUT_FLAGS
    assert side.plan()["flags"] == ([] if without else ["FP16"])
    assert ("the ONNX is fp16 itself, and is built as it is" in ended.messages) == without
    if without:
        assert side.run(HALF, precision="bf16").last["code"] == "engine.unsupported"


DLA = {"core": 1, "gpu_fallback": True}
FIXED = {"min": [4, 3, 4, 4], "opt": [4, 3, 4, 4], "max": [4, 3, 4, 4]}


@every_version
def test_sparse_weights(side: Side) -> None:
    assert side.run(sparsity=True, validation={"iterations": 0}).code == 0
    assert side.plan()["flags"] == ["SPARSE_WEIGHTS"]


def test_a_tensorrt_without_sparsity(side: Side) -> None:
    record = json.loads((RECORDS / "10.3.0.json").read_text())
    del record["enums"]["BuilderFlag"]["SPARSE_WEIGHTS"]
    (side.folder / "record.json").write_text(json.dumps(record))
    job = side.job(model(), sparsity=True)
    ended = side.run_job(job, ROOST_TENSORRT_RECORD=str(side.folder / "record.json"))
    assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
    assert "cannot do sparsity" in ended.last["text"]
    assert not (side.folder / "model.plan").exists()


@every_version
def test_on_a_dla(side: Side) -> None:
    sizes = [{"images": FIXED}]
    job = side.job(HALF, dla=DLA, profiles=sizes, validation={"iterations": 1})
    ended = side.run_job(job, ROOST_TENSORRT_DLA_CORES="2")
    assert (ended.code, ended.the("checked")["state"]) == (0, "ran"), ended
    assert side.plan()["dla"] == ["DLA", 1]
    assert "GPU_FALLBACK" in side.plan()["flags"]
    alone = side.job(HALF, dla={"core": 0, "gpu_fallback": False}, profiles=sizes)
    assert side.run_job(alone, ROOST_TENSORRT_DLA_CORES="2").code == 0
    assert "GPU_FALLBACK" not in side.plan()["flags"]


@every_version
@pytest.mark.parametrize(
    ("cores", "given", "words"),
    [
        ("0", HALF, "finds no DLA here"),
        ("1", HALF, "the recipe asks for DLA core 1"),
        ("2", model(), "computes in fp16 and int8 only, and the ONNX has neither"),
    ],
)
def test_no_such_dla(side: Side, cores: str, given: dict[str, Any], words: str) -> None:
    ended = side.run_job(side.job(given, dla=DLA), ROOST_TENSORRT_DLA_CORES=cores)
    assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
    assert words in ended.last["text"]
    assert ended.last["hint"]
    assert not (side.folder / "model.plan").exists()


def test_a_dla_takes_no_sizes_that_vary(side: Side) -> None:
    """By NVIDIA's documentation; with gpu_fallback all of it would be done on the GPU."""
    ended = side.run_job(side.job(HALF, dla=DLA), ROOST_TENSORRT_DLA_CORES="2")
    assert (ended.code, ended.last["code"]) == (1, "engine.profile")
    assert "a DLA takes no sizes that vary, as those of 'images' do" in ended.last["text"]
    assert ended.last["hint"]
    assert not (side.folder / "model.plan").exists()


def test_tensorrt_rtx_has_no_dla(side: Side) -> None:
    rtx = Side(RTX, side.folder, side.libcuda)
    ended = rtx.run_job(rtx.job(HALF, dla=DLA), ROOST_TENSORRT_DLA_CORES="2")
    assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
    assert "TensorRT-RTX" in ended.last["text"]


def test_a_hint_with_hundreds_of_names_is_cut(side: Side) -> None:
    """Else the agent could not read the event, and why it failed would be lost."""
    inputs = {f"{'image' * 10}.{n}": ["FLOAT", SHAPE] for n in range(250)}
    given = model(inputs=inputs)
    ended = side.run(given, profiles=[{"image": RANGE, **dict.fromkeys(inputs, RANGE)}])
    assert (ended.code, ended.last["code"]) == (1, "engine.profile")
    assert len(ended.last["hint"]) == worker.TEXT_LIMIT


@every_version
def test_int8_of_a_model_with_quantization(side: Side) -> None:
    """Q/DQ says it all: a version without the flag has nothing to do."""
    assert side.run(QUANTIZED, precision="int8").code == 0
    assert side.plan()["flags"] == ([] if side.version in WITHOUT_FLAGS else ["INT8"])
    assert side.plan()["calibration"] is None


@every_version
def test_int8_without_anything_to_quantize_with(side: Side) -> None:
    ended = side.run(precision="int8")
    expected = "engine.unsupported" if side.version in WITHOUT_FLAGS else "engine.recipe"
    assert (ended.code, ended.last["code"]) == (1, expected)
    assert "modelopt.onnx.quantization" in ended.last["hint"]


@every_version
@pytest.mark.parametrize("kind", ["EntropyCalibration2", "MinMaxCalibration"])
def test_int8_with_a_calibration_cache(side: Side, kind: str) -> None:
    cache = side.folder / "calibration.cache"
    cache.write_text(f"TRT-8601-{kind}\nimages: 3c010a14\n")
    ended = side.run(precision="int8", calibration_cache=str(cache))
    if side.version in WITHOUT_FLAGS:
        assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
        return
    assert ended.code == 0, ended
    assert side.plan()["flags"] == ["INT8"]
    assert side.plan()["calibration"] == cache.read_text()
    ended = side.run(QUANTIZED, precision="int8", calibration_cache=str(cache))
    assert ended.messages[0].startswith("the calibration cache is not used")


@pytest.mark.parametrize(
    ("cache", "words"),
    [(None, "No such file"), ("", "begins with ''"), ("TRT-8601-Frobnication\n", "'Frobnication'")],
)
def test_a_calibration_cache_that_is_none(side: Side, cache: str | None, words: str) -> None:
    path = side.folder / "calibration.cache"
    if cache is not None:
        path.write_text(cache)
    ended = side.run(precision="int8", calibration_cache=str(path))
    assert (ended.code, ended.last["code"]) == (1, "engine.recipe")
    assert words in ended.last["text"]


@every_version
def test_everything_else_of_a_recipe(side: Side) -> None:
    wanted: dict[str, Any] = {
        "workspace_bytes": 1 << 30,
        "gpu_memory_bytes": 1 << 29,
        "optimization_level": 3,
        "version_compatible": True,
        "hardware_compatibility": "ampere_plus",
    }
    refused = {}
    for name, value in wanted.items():
        ended = side.run(None, **{name: value})
        if ended.code:
            assert ended.last["code"] == "engine.unsupported", ended
            assert f"{side.version} cannot do" in ended.last["text"]
            refused[name] = value
    since_8_6 = ["optimization_level", "version_compatible", "hardware_compatibility"]
    assert list(refused) == (since_8_6 if side.version == "8.4.0" else [])
    kept = {name: wanted[name] for name in wanted if name not in refused}
    assert side.run(None, **kept).code == 0
    built = side.plan()
    tactics = {} if side.version == "8.4.0" else {"TACTIC_DRAM": 1 << 29}
    assert built["pools"] == {"WORKSPACE": 1 << 29, **tactics}
    assert built["level"] == (None if refused else 3)
    assert built["flags"] == ([] if refused else ["VERSION_COMPATIBLE"])
    assert built["parser_flags"] == ([] if refused else ["NATIVE_INSTANCENORM"])


def test_a_workspace_larger_than_the_gpu(side: Side) -> None:
    ended = side.run(workspace_bytes=32 << 30)
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.recipe", 0)
    assert "a workspace of 32768 MiB is more than the GPU has, 16384" in ended.last["text"]


def test_a_budget_that_is_not_free(side: Side) -> None:
    ended = side.run(gpu_memory_bytes=20 << 30)
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.gpu_busy", 0)
    assert "16384 MiB of the GPU are free, the budget is 20480" in ended.last["text"]


@every_version
def test_a_timing_cache_grows_from_build_to_build(side: Side) -> None:
    path = side.folder / "timing.cache"
    for timed in ("conv3x3", "conv5x5"):
        assert side.run(model(timed=timed), timing_cache=str(path)).code == 0
    assert json.loads(path.read_text()) == {
        "version": side.version,
        "entries": ["conv3x3", "conv5x5"],
    }
    path.write_text(json.dumps({"version": "7.2.3", "entries": ["old"]}))
    ended = side.run(timing_cache=str(path))
    assert ended.code == 0
    assert f"the timing cache {path} is of another TensorRT" in ended.messages[0]
    assert json.loads(path.read_text())["entries"] == ["convolution"]


def test_a_timing_cache_that_others_wrote_meanwhile_is_merged(side: Side) -> None:
    """The toy writes it amid its build."""
    path = side.folder / "timing.cache"
    meanwhile = {"version": side.version, "entries": ["theirs"]}
    given = model(timed="ours", meanwhile=[str(path), json.dumps(meanwhile)])
    assert side.run(given, timing_cache=str(path)).code == 0
    assert json.loads(path.read_text())["entries"] == ["ours", "theirs"]


def test_a_timing_cache_that_cannot_be_kept_costs_no_engine(side: Side) -> None:
    ended = side.run(timing_cache=str(side.folder / "gone" / "timing.cache"))
    assert ended.code == 0
    (message,) = ended.messages
    assert message.startswith("the cache is not kept: ")
    assert message.endswith("timing.cache: No such file or directory")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("toy: Could not find any implementation for node /conv", "engine.build"),
        ("toy: Error Code 2: OutOfMemory (no further information)", "engine.memory"),
        ("toy: Error Code 1: Cuda Runtime (out of memory)", "engine.memory"),
        (None, "engine.build"),
    ],
)
def test_a_build_that_fails(side: Side, said: str | None, code: str) -> None:
    ended = side.run(model(fails_to_build=[said] if said else []))
    assert (ended.code, ended.last["code"]) == (1, code)
    assert ended.last["text"] == (said or "the builder gave no reason")
    assert ended.last["hint"]
    assert not (side.folder / "model.plan").exists()


def test_a_cache_that_cannot_be_read_costs_no_engine(side: Side) -> None:
    ended = side.run(timing_cache=str(side.folder))
    assert ended.code == 0
    assert ended.messages[0] == f"the cache {side.folder} is not read: Is a directory"


def test_versions_that_others_had_trouble_with(side: Side) -> None:
    """10.2.0 is not recorded: the record of 10.3.0, under its name."""
    record = json.loads((Path(side.environment()["ROOST_TENSORRT_RECORD"])).read_text())
    told = side.folder / "10.2.0.json"
    told.write_text(json.dumps({**record, "version": "10.2.0"}))
    ended = side.run_job(side.job(model()), ROOST_TENSORRT_RECORD=str(told))
    assert ended.code == 0
    assert "libnvinfer_builder_resource_win" in ended.messages[0]
    assert side.run().messages == []


def test_a_profile_of_values_for_a_shape_tensor(side: Side) -> None:
    given = model(inputs={"images": ["FLOAT", [-1, 3, 4, 4]], "host_size": ["INT32", [2]]})
    values = {"min": [1, 1], "opt": [4, 4], "max": [8, 8]}
    ended = side.run(given, profiles=[{"images": RANGE, "host_size": values}])
    assert (ended.code, ended.the("checked")["state"]) == (0, "deserialised"), ended
    assert side.plan()["values"] == [{"host_size": [[1, 1], [4, 4], [8, 8]]}]


def test_messages_without_end_are_capped(side: Side) -> None:
    ended = side.run(model(says=5000))
    assert ended.code == 0
    assert len(ended.messages) == 200
    assert ended.messages[-1].endswith("[TensorRT's next messages are not told]")
    assert max(map(len, ended.messages)) < 2100


def test_what_libraries_print_is_not_among_the_events(side: Side) -> None:
    """Every line of standard output was read as an event by `run`."""
    ended = side.run(model(prints=200_000))
    assert ended.code == 0
    assert ended.error.count("what a library prints\n") == 200_000


def ended_after(side: Side, job: Path, event: str, **environment: str) -> tuple[int, Any]:
    """How it ended, and its last event, when SIGTERM followed the first event of this kind."""
    process = subprocess.Popen(
        [side.python, "-B", worker.__file__, job],
        env={**side.environment(), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == event:
                break
        process.terminate()
        told = [json.loads(line) for line in process.stdout]
        return process.wait(), told[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("side", ["8.6.1", "10.3.0"], indirect=True)
def test_a_signal_ends_a_build_that_hears_nothing(side: Side) -> None:
    """TensorRT before 9 has no progress monitor, and a newer one may not ask it."""
    job = side.job(model(sleeps=50))
    assert ended_after(side, job, "parsed") == (3, {"event": "cancelled"})


def test_a_signal_ends_a_trial_and_all_memory_is_given_back(side: Side) -> None:
    job = side.job(model(), validation={"iterations": 100_000_000})
    report = side.folder / "report"
    ended = ended_after(side, job, "built", ROOST_CUDA_STUB_REPORT=str(report))
    assert ended == (3, {"event": "cancelled"})
    if report.exists():  # it is not where a slow machine had the whole process ended at once
        assert report.read_text().split()[1] == "0"
