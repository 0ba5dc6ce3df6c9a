"""worker.py over a recorded TensorRT surface and the stub of libcuda, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.engines import worker
from agent.engines.events import read_event

TESTS = Path(__file__).parents[2]
RECORDS = TESTS / "data" / "tensorrt_api"
VERSIONS = ("8.4.0", "8.6.1", "10.3.0", "10.13.3.9", "11.4.0.106")
RTX = "rtx-1.7.1.116"
SHAPE = [-1, 3, 4, 4]
RANGE = {"min": [1, 3, 4, 4], "opt": [4, 3, 4, 4], "max": [8, 3, 4, 4]}
ITEM_BYTES = 3 * 4 * 4 * 4


def model(**changes: Any) -> dict[str, Any]:
    """What the toy takes for an ONNX file: one convolution, images in, the same out."""
    return {
        "inputs": {"images": ["FLOAT", SHAPE]},
        "outputs": {"boxes": ["FLOAT", SHAPE]},
        "layers": [["CONVOLUTION", "FLOAT"]],
        **changes,
    }


class Ended(msgspec.Struct):
    """How a worker ended, what it told, and what the stub says that it left behind."""

    code: int
    events: list[dict[str, Any]]
    error: str
    calls: int  # into the stub
    held: int | None  # memory, streams, events, contexts

    @property
    def last(self) -> dict[str, Any]:
        """The event that says how it went."""
        return self.events[-1]

    def the(self, kind: str) -> dict[str, Any]:
        """The one event of this kind."""
        (found,) = [event for event in self.events if event["event"] == kind]
        return found

    @property
    def messages(self) -> list[str]:
        """What TensorRT, or the worker, warned of."""
        return [event["text"] for event in self.events if event["event"] == "message"]


class Side(msgspec.Struct):
    """One version of TensorRT, with or without a GPU."""

    version: str
    folder: Path
    libcuda: Path | None = None
    python: str = sys.executable

    def job(self, given: dict[str, Any], **changes: Any) -> Path:
        """A job for this model."""
        (self.folder / "model.onnx").write_text(json.dumps(given))
        described: dict[str, Any] = {
            "onnx": str(self.folder / "model.onnx"),
            "plan": str(self.folder / "model.plan"),
            "precision": "model",
            "profiles": [{"images": RANGE}],
            "workspace_bytes": None,
            "optimization_level": None,
            "version_compatible": False,
            "hardware_compatibility": None,
            "compute_capabilities": [],
            "validation": {"iterations": 10, "warmup": 2},
            "flavour": "tensorrt_rtx" if self.version == RTX else "tensorrt",
            **changes,
        }
        path = self.folder / "job.json"
        path.write_text(json.dumps(described))
        return path

    def run(self, given: dict[str, Any] | None = None, **changes: Any) -> Ended:
        """Build, or whatever the changes say; every event is read as the agent does."""
        return self.run_job(self.job(given or model(), **changes))

    def run_job(self, job: Path, **environment: str) -> Ended:
        """See `run`."""
        report = self.folder / "stub-report"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            [self.python, "-B", worker.__file__, job],
            env={**self.environment(), "ROOST_CUDA_STUB_REPORT": str(report), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        lines = done.stdout.splitlines()
        for line in lines:
            read_event(line.encode())
        calls, held = map(int, report.read_text().split()) if report.exists() else (0, None)
        events = [json.loads(line) for line in lines]
        return Ended(done.returncode, events, done.stderr, calls, held)

    def environment(self) -> dict[str, str]:
        """In which `import tensorrt` finds the record, and the linker the stub."""
        kept = {name: text for name, text in os.environ.items() if name != "LD_LIBRARY_PATH"}
        if self.libcuda is not None:
            kept["LD_LIBRARY_PATH"] = str(self.libcuda.parent)
        return {
            **kept,
            "PYTHONPATH": str(TESTS / "tensorrt_api" / "fake"),
            "ROOST_TENSORRT_RECORD": str(RECORDS / f"{self.version}.json"),
        }

    def plan(self) -> dict[str, Any]:
        """What the toy was asked to build."""
        found: dict[str, Any] = json.loads((self.folder / "model.plan").read_bytes()[32:])
        return found
