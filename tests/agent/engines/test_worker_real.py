"""worker.py with NVIDIA's own TensorRT-RTX, which builds without a GPU."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engines import worker
from tests import onnx_made

WORKER = Path(worker.__file__)
BATCHES = {"images": {"min": [1, 3, 64, 64], "opt": [4, 3, 64, 64], "max": [8, 3, 64, 64]}}

pytestmark = pytest.mark.real


def job(folder: Path, model: bytes, **changes: Any) -> Path:
    """A job description for it, in `folder`."""
    (folder / "model.onnx").write_bytes(model)
    described = {
        "onnx": str(folder / "model.onnx"),
        "plan": str(folder / "model.plan"),
        "precision": "model",
        "profiles": [BATCHES],
        "workspace_bytes": None,
        "optimization_level": None,
        "version_compatible": False,
        "hardware_compatibility": None,
        "compute_capabilities": ["8.6"],
        **changes,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(described))
    return path


def run(*arguments: Path | str) -> tuple[int, list[dict[str, Any]]]:
    """How it ended, and its events."""
    done = subprocess.run(
        [sys.executable, "-I", WORKER, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def the(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [event for event in events if event["event"] == kind]
    return found


def test_it_is_python_3_8() -> None:
    ast.parse(WORKER.read_text(), feature_version=(3, 8))


def test_versions() -> None:
    code, events = run()
    assert (code, [event["event"] for event in events]) == (0, ["versions", "done"])
    assert events[0]["flavour"] == "tensorrt_rtx"
    assert (events[0]["precision_flags"], events[0]["progress"]) == ([], True)


def test_sparse_weights_are_taken(tmp_path: Path) -> None:
    code, events = run(job(tmp_path, onnx_made.detector(), sparsity=True))
    assert (code, events[-1]["event"]) == (0, "done")


@pytest.mark.parametrize("capabilities", [["8.6"], ["8.9"], ["8.6", "8.9"]])
def test_an_engine_is_built(tmp_path: Path, capabilities: list[str]) -> None:
    code, events = run(job(tmp_path, onnx_made.detector(), compute_capabilities=capabilities))
    assert (code, events[-1]["event"]) == (0, "done")
    parsed, built = the(events, "parsed"), the(events, "built")
    assert parsed["inputs"] == [{"name": "images", "shape": [-1, 3, 64, 64], "dtype": "float"}]
    assert (parsed["layers"], parsed["outputs"][0]["shape"]) == (12, [-1, 16, 8, 8])
    plan = (tmp_path / "model.plan").read_bytes()
    assert len(plan) == built["plan_bytes"]
    assert plan.startswith(b"vtrt")
    version = ".".join(str(part) for part in built["header"]["version"])
    assert version == the(events, "versions")["tensorrt"]
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions
    assert fractions == sorted(fractions)
    assert not (tmp_path / "model.plan.new").exists()


@pytest.mark.parametrize(
    ("model", "node", "operator", "words"),
    [
        (onnx_made.unsupported(), "/model.22/nms", "FrobnicateNMS", "Plugin not found"),
        (onnx_made.wrong_shape(), "/model.12/Concat", "Concat", "must have the same dimensions"),
        (onnx_made.detector()[:3000], None, None, "Failed to parse the ONNX model"),
    ],
)
def test_the_parsers_own_errors(
    tmp_path: Path, model: bytes, node: str | None, operator: str | None, words: str
) -> None:
    code, events = run(job(tmp_path, model))
    assert (code, events[-1]["event"], events[-1]["code"]) == (1, "failed", "engine.onnx")
    problem = events[-1]["problems"][0]
    assert (problem["node"], problem["operator"]) == (node, operator)
    assert words in events[-1]["text"]
    assert all(name in events[-1]["text"] for name in (node, operator) if name)
    assert not (tmp_path / "model.plan").exists()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"profiles": []}, "engine.profile", "'images' is dynamic and there is no profile"),
        ({"profiles": [{}]}, "engine.profile", "profile 1 lacks the dynamic input 'images'"),
        (
            {"profiles": [{"image": BATCHES["images"]}]},
            "engine.profile",
            "profile 1: the model has no input 'image'",
        ),
        (
            {"profiles": [{"images": {**BATCHES["images"], "max": [8, 3, 96, 96]}}]},
            "engine.profile",
            "max of 'images' is [8, 3, 96, 96], the model has [-1, 3, 64, 64]",
        ),
        ({"precision": "fp16"}, "engine.unsupported", "has no precision flag FP16"),
        ({"compute_capabilities": ["5.0"]}, "engine.unsupported", "compute capability 5.0"),
        ({"dla": {"core": 0, "gpu_fallback": True}}, "engine.unsupported", "builds for no DLA"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    tmp_path: Path, changes: dict[str, Any], code: str, words: str
) -> None:
    ended, events = run(job(tmp_path, onnx_made.detector(), **changes))
    assert (ended, events[-1]["code"]) == (1, code)
    assert words in events[-1]["text"]
    assert events[-1]["hint"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    plan = str(tmp_path / "gone" / "model.plan")
    code, events = run(job(tmp_path, onnx_made.detector(), plan=plan))
    assert (code, events[-1]["code"]) == (1, "engine.storage")


def test_no_tensorrt(tmp_path: Path) -> None:
    code, events = run(job(tmp_path, onnx_made.detector(), flavour="tensorrt"))
    assert (code, events[-1]["code"]) == (1, "engine.no_tensorrt")
    assert sys.executable in events[-1]["text"]


# The worker with nothing to end it but TensorRT itself, which tells whether there is a plan.
ONLY_THE_MONITOR = """\
import sys
sys.path.insert(0, sys.argv.pop(1))
import tensorrt_rtx as trt
import worker
worker.CANCEL_SECONDS = 1e6
class Builder(trt.Builder):
    def build_serialized_network(self, network, config):
        plan = super().build_serialized_network(network, config)
        print("no plan" if plan is None else "a plan", file=sys.stderr, flush=True)
        return plan
trt.Builder = Builder
sys.exit(worker.main())
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A build of many layers."""
    path = job(tmp_path, onnx_made.detector(blocks=600, channels=32))
    process = subprocess.Popen(
        [sys.executable, "-c", ONLY_THE_MONITOR, WORKER.parent, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_build_is_cancelled_by_the_monitor(
    started: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The process is not just ended: TensorRT's own call came back without a plan."""
    assert started.stdout is not None
    for line in started.stdout:
        if json.loads(line)["event"] == "progress":
            break
    started.send_signal(signal.SIGTERM)
    out, errors = started.communicate()
    assert (started.returncode, json.loads(out.splitlines()[-1])) == (3, {"event": "cancelled"})
    assert [line for line in errors.splitlines() if line.endswith("plan")] == ["no plan"]
    assert not (tmp_path / "model.plan").exists()


def test_a_plan_that_is_there_is_checked(tmp_path: Path) -> None:
    build = job(tmp_path, onnx_made.detector())
    code, built = run(build)
    assert code == 0
    code, events = run(job(tmp_path, b"", action="check"))
    assert (code, [event["event"] for event in events]) == (0, ["versions", "checked", "done"])
    checked = the(events, "checked")
    assert checked["header"] == the(built, "built")["header"]
    assert checked["state"] == "header"
    assert "there is no GPU here to try it on: libcuda.so.1" in checked["reason"]


def with_metadata(plan: bytes, metadata: object) -> bytes:
    """As Ultralytics writes a plan."""
    text = json.dumps(metadata).encode()
    return len(text).to_bytes(4, "little") + text + plan


def test_what_stands_before_a_plan_of_ultralytics_is_told(tmp_path: Path) -> None:
    run(job(tmp_path, onnx_made.detector()))
    plan = tmp_path / "model.plan"
    metadata = {"imgsz": [64, 64], "stride": 32, "names": {"0": "bolt"}}
    plan.write_bytes(with_metadata(plan.read_bytes(), metadata))
    code, events = run(job(tmp_path, b"", action="check"))
    assert code == 0
    assert the(events, "checked")["metadata"] == metadata
    assert the(events, "checked")["header"]["version"][0] == 1


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (b"", "cannot mmap an empty file"),
        (b"ftrt" + bytes(24), "was built by tensorrt, and here is tensorrt_rtx"),
        (bytes(range(64, 192)) * 8, "does not begin as plans do, but with 4041424344454647"),
        (b"vtrt", "does not begin as plans do"),
        (with_metadata(b"", {"names": {}}), "does not begin as plans do, but with nothing"),
        (b"\x40\0\0\0{not JSON at all" * 8, "does not begin as plans do"),
        (b"\xff\xff\xff\xff{" * 8, "does not begin as plans do"),
    ],
)
def test_what_is_no_plan_of_this_flavour(tmp_path: Path, plan: bytes, words: str) -> None:
    (tmp_path / "model.plan").write_bytes(plan)
    code, events = run(job(tmp_path, b"", action="check"))
    assert (code, events[-1]["code"]) == (1, "engine.plan")
    assert words in events[-1]["text"]


def test_no_plan(tmp_path: Path) -> None:
    code, events = run(job(tmp_path, b"", action="check"))
    assert (code, events[-1]["code"]) == (1, "engine.plan")
    assert "No such file" in events[-1]["text"]


PRETENDS_A_GPU = """\
import sys
sys.path.insert(0, sys.argv[1])
import tensorrt_rtx as trt
import worker
log = worker.Log(trt, worker.Reporter(sys.stderr))
class Gpu:
    def memory(self):
        return 1, 2
try:
    plan = worker.Plan(sys.argv[2], "tensorrt_rtx")
    worker._try_plan(trt, {}, plan, Gpu(), worker.VALIDATION, lambda: False, log)
except worker.UnfitError as error:
    worker.Reporter(sys.stdout).tell(**worker._unfit(error, log.errors).event)
"""


def tried(plan: Path) -> dict[str, Any]:
    arguments: list[str | Path] = [sys.executable, "-c", PRETENDS_A_GPU, WORKER.parent, plan]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (told["event"], told["code"]) == ("failed", "engine.unfit")
    return told


def test_the_runtimes_own_error_for_a_plan_that_was_cut_off(tmp_path: Path) -> None:
    """TensorRT-RTX looks at the plan before it looks for a GPU."""
    run(job(tmp_path, onnx_made.detector()))
    plan = tmp_path / "model.plan"
    whole = plan.read_bytes()
    plan.write_bytes(whole[:1000])
    assert "plan.header.size == blobSize failed" in tried(plan)["text"]
    plan.write_bytes(whole[: worker.HEADER_BYTES])
    assert "does not take the plan (MALFORMED_ENGINE)" in tried(plan)["text"]


SAYS_VALIDITY = """\
import sys
import tensorrt_rtx as trt
runtime = trt.Runtime(trt.Logger(trt.Logger.INTERNAL_ERROR))
for path in sys.argv[1:]:
    validity, found = runtime.get_engine_validity(open(path, "rb").read())
    known = trt.EngineInvalidityDiagnostics.__members__.items()
    print("said", validity.name, *[name for name, member in known if int(member) & found])
"""


def test_what_the_real_get_engine_validity_says(tmp_path: Path) -> None:
    """A tuple of the verdict and a number whose bits are the diagnostics, as the worker takes it.

    Whether an engine fits this machine's GPU is said too, where there is one; without one a whole
    engine is INVALID, for no reason that it names.
    """
    run(job(tmp_path, onnx_made.detector()))
    whole = tmp_path / "model.plan"
    header, noise = tmp_path / "header", tmp_path / "noise"
    header.write_bytes(whole.read_bytes()[: worker.HEADER_BYTES])
    noise.write_bytes(b"noise" * 1000)
    arguments: list[str | Path] = [sys.executable, "-c", SAYS_VALIDITY, whole, header, noise]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("said ")]
    assert said[1:] == [["INVALID", "MALFORMED_ENGINE"]] * 2
    assert "MALFORMED_ENGINE" not in said[0]
    if worker.find_gpu()[0] is None:
        assert said[0] == ["INVALID"]
