"""The reference detector's image, cpu variant: its size, what it adds to a model, and its load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from tests.bench.table import Row
from tests.detector_made import colour_detector
from tests.images.detector_side import IMAGES, PORT, Built, Detector, build, load_base, start
from tests.images.loading import load
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

MB = 1_000_000
SMALL, USUAL = 64, 640
# Of a layer whose 50 MB of weights are read once a run: such a model gains from batches also on a
# CPU. One of convolutions alone gains nothing there.
DENSE = 1024


def run(*, short: bool) -> list[Row]:
    """Built, then asked; needs what tests/real/make-roots and make-detector make."""
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp") as name:
        folder = Path(name)
        (folder / "e").mkdir()
        enclosure = Enclosure(folder / "e", network=True)
        try:
            engine = DockerEngine(enclosure)
            engine.start()
            load_base(engine)
            images = folder / "images"
            shutil.copytree(IMAGES, images, ignore=shutil.ignore_patterns("__pycache__"))
            done = build(engine, images, "--json")
            if done.returncode != 0:
                raise RuntimeError(done.stderr[-2000:])
            built = Built(engine, images, done.stderr, json.loads(done.stdout))
            return [
                *_sizes(built),
                *_overhead(built, folder, count=100 if short else 600),
                _batching(built, folder, seconds=3.0 if short else 15.0),
                _switching(built, folder, switches=3 if short else 20),
            ]
        finally:
            enclosure.close()


def _sizes(built: Built) -> list[Row]:
    image = built.image
    return [
        Row(
            name="detector, cpu variant on top of its base",
            value=image["added_bytes"] / MB,
            unit="MB",
            limit=250,
        ),
        Row(
            name="detector, the layer that an application change alters",
            value=image["application_bytes"] / 1000,
            unit="KB",
            limit=200,
        ),
    ]


def _overhead(built: Built, folder: Path, *, count: int) -> list[Row]:
    rows = []
    for size, limit in ((SMALL, 2.0), (USUAL, None)):
        model = colour_detector(size=size)
        with _running(built, folder, model) as detector:
            told = _client(detector, "latency", size, count, str(detector.models / "detector.onnx"))
        rows.append(
            Row(
                name=f"detector, p50 of a request beside a bare ONNX Runtime call, {size} x {size}",
                value=told["served"] - told["bare"],
                unit="ms",
                limit=limit,
                note=f"{told['served']:.2f} and {told['bare']:.2f} ms, in turn; the fastest request"
                f" {told['served_best']:.2f} ms; the client's own time is in it",
            )
        )
    return rows


def _batching(built: Built, folder: Path, *, seconds: float) -> Row:
    model = colour_detector(size=SMALL, dense=DENSE)
    rates = {}
    for most in (16, 1):
        with _running(built, folder, model, {"DETECTOR_MAX_BATCH": str(most)}) as detector:
            told = _client(detector, "throughput", SMALL, seconds)
            rates[most] = told["rate"]
    return Row(
        name="detector, 16 clients: requests/s with batches of 1 over those with batches up to 16",
        value=rates[1] / rates[16],
        unit="",
        limit=1 / 1.5,
        note=f"{rates[1]:.0f}/s and {rates[16]:.0f}/s; the model alone gains"
        f" {_gain(model):.1f} x from a batch of 16",
    )


def _gain(model: bytes) -> float:
    """How much faster sixteen images are in one run, in a bare ONNX Runtime."""
    session = ort.InferenceSession(model)
    seconds = {}
    for count in (1, 16):
        images = np.full((count, 3, SMALL, SMALL), 0.5, np.float32)
        times = []
        for _ in range(100):
            began = time.perf_counter()
            session.run(None, {"images": images})
            times.append(time.perf_counter() - began)
        seconds[count] = float(np.median(times))
    return 16 * seconds[1] / seconds[16]


def _switching(built: Built, folder: Path, *, switches: int) -> Row:
    outcome: dict[str, Any] = {}
    with _running(built, folder, colour_detector()) as detector:
        with load(detector, 200, outcome):
            for number in range(switches):
                detector.place_model(colour_detector(shift=1.0 + number))
                time.sleep(1)
        taken = int(detector.metric("detector_model_switches_total")) - 1
    return Row(
        name=f"detector, {taken} switches of the model at 200/s",
        value=len(outcome["failed"]),
        unit="failed",
        limit=0,
        note=f"of {outcome['asked']}, by {len(outcome['models'])} models",
    )


@contextmanager
def _running(
    built: Built, folder: Path, model: bytes, environment: Mapping[str, str] | None = None
) -> Iterator[Detector]:
    """A container that is ready, and gone afterwards."""
    models = Path(tempfile.mkdtemp(dir=folder))
    try:
        detector = start(built, "bench", models, model=model, environment=environment)
        detector.wait_ready()
        yield detector
    finally:
        built.engine.clear()


def _client(detector: Detector, what: str, size: int, count: float, *more: str) -> dict[str, float]:
    # Not with this folder in its path, where modules have the names of others.
    words = (*detector.engine.enclosure.entering(), sys.executable, "-I")
    done = subprocess.run(
        [
            *words,
            str(Path(__file__).with_name("detector_client.py")),
            *(what, detector.address, str(PORT), str(size), str(count), *more),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, float] = json.loads(done.stdout)
    return told
