"""The reference detector's image, cpu variant: its size, what it adds to a model, and its load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.detector_client import SINK_PORT, processor_seconds, session_of
from tests.bench.table import Row
from tests.detector_made import colour_detector
from tests.images.detector_side import IMAGES, PORT, Built, Detector, build, load_base, start
from tests.images.loading import load
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

MB = 1_000_000
SMALL, USUAL = 64, 640
TURNS = 5
# The image has what makes a JPEG, this environment has not.
PICTURE = f"""
import base64, io
from PIL import Image
file = io.BytesIO()
area = (-2, -1.5, 1, 1.5)
Image.effect_mandelbrot(({USUAL}, {USUAL}), area, 60).convert("RGB").save(file, "JPEG", quality=85)
print(base64.b64encode(file.getvalue()).decode())
"""


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
                *_batching(built, folder, seconds=5.0 if short else 15.0),
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
    """What the server adds to the model. All that is compared was done in turn, in one process.

    The criterion is read as: a V2 request with a binary tensor of one picture at the model's own
    size, as tritonclient sends it, less a bare call of ONNX Runtime with the same picture, less
    the same number of bytes there and back over a bare connection to another container. What a
    small model is asked for has the connection's time in it, too, and the client's.
    """
    small = _latency(built, folder, SMALL, count)
    usual = _latency(built, folder, USUAL, count)
    return [
        Row(
            name=f"detector, p50 of a V2 request beside a bare call, {SMALL} x {SMALL}",
            value=small["beside"],
            unit="ms",
            limit=2.0,
            note=_medians(small),
        ),
        Row(
            name=f"detector, the same, {USUAL} x {USUAL}, without the way of its 4.9 MB",
            value=usual["without_way"],
            unit="ms",
            limit=2.0,
            note=_medians(usual),
        ),
        Row(
            name=f"detector, the same, {USUAL} x {USUAL}, with it",
            value=usual["beside"],
            unit="ms",
        ),
        Row(
            name=f"detector, the same, {USUAL} x {USUAL}, in shared memory",
            value=usual["shared_beside"],
            unit="ms",
            limit=2.0,
            note=f"request {usual['shared']:.2f}, bare call {usual['bare']:.2f} ms; processor time"
            f" of the server {usual['shared_cpu']:.1f}, of the bare call {usual['bare_cpu']:.1f}"
            " ms; the picture lies there before, as a client decodes it",
        ),
        Row(
            name=f"detector, p50 of /v1/detect beside a bare call, {USUAL} x {USUAL}",
            value=usual["detected_beside"],
            unit="ms",
            note="a JPEG, decoded, scaled, and boxes picked: work, not overhead",
        ),
    ]


def _medians(told: Mapping[str, float]) -> str:
    return (
        f"request {told['served']:.2f}, bare call {told['bare']:.2f}, its bytes on a bare"
        f" connection {told['moved']:.2f} ms; processor time of the server"
        f" {told['server_cpu']:.1f}, of the bare call {told['bare_cpu']:.1f} ms"
    )


def _latency(built: Built, folder: Path, size: int, count: int) -> dict[str, float]:
    model = colour_detector(size=size)
    shared = {"DETECTOR_SHARED_MEMORY_REGIONS": "1"}
    with _running(built, folder, {"bench": (shared, model)}, "--ipc=host") as (detector,):
        engine = built.engine
        jpeg = folder / "picture.jpg"
        jpeg.write_bytes(b64decode(engine.docker("exec", "bench", "python3", "-c", PICTURE)))
        sink = str(Path(__file__).with_name("detector_sink.py"))
        engine.docker(
            *("run", "--detach", "--name=sink", f"--volume={sink}:/sink.py:ro"),
            *("--entrypoint=python3", built.image["tag"], "/sink.py", str(SINK_PORT)),
        )
        form = "{{.NetworkSettings.IPAddress}}"
        address = engine.docker("inspect", "--format", form, "sink")
        words = (str(detector.models / "detector.onnx"), str(jpeg), address, str(_pid(detector)))
        return _client(detector, "latency", size, count, *words)


def _batching(built: Built, folder: Path, *, seconds: float) -> list[Row]:
    """With batches and without, by turns; the limit is for a model that gains from them."""
    # Of a layer whose 50 MB of weights are read once a run: it gains from batches on a CPU, too.
    dense = colour_detector(size=SMALL, dense=1024)
    # Of convolutions, as a YOLO is: one picture keeps the cores of a CPU busy already.
    folded = colour_detector(size=160, work=6)
    return [
        _rate_row(
            "whose weights are most of its work", dense, SMALL, 1 / 1.5, built, folder, seconds
        ),
        _rate_row("of convolutions", folded, 160, None, built, folder, seconds),
    ]


def _rate_row(
    what: str,
    model: bytes,
    size: int,
    limit: float | None,
    built: Built,
    folder: Path,
    seconds: float,
) -> Row:
    most = {"one": 1, "many": 16}
    asked = {name: ({"DETECTOR_MAX_BATCH": str(each)}, model) for name, each in most.items()}
    rates: dict[str, list[float]] = {name: [] for name in most}
    cost = {}
    with _running(built, folder, asked) as detectors:
        for _ in range(TURNS):
            for detector in detectors:
                told = _client(detector, "throughput", size, seconds / TURNS)
                rates[detector.name].append(told["rate"])
        for detector in detectors:
            images = detector.metric("detector_batch_size_sum")
            cost[detector.name] = processor_seconds(_pid(detector)) / images * 1e3
        in_one = images / detectors[-1].metric("detector_batch_size_count")
    gains = ", ".join(f"{gain:.1f} x of {count}" for count, gain in _gains(model, size).items())
    one, many = (float(np.median(rates[name])) for name in most)
    return Row(
        name=f"detector, 16 clients, a model {what}: requests/s without batches over those with",
        value=one / many,
        unit="",
        limit=limit,
        note=f"{one:.0f}/s and {many:.0f}/s in batches of {in_one:.1f}; processor time of an image"
        f" {cost['one']:.1f} and {cost['many']:.1f} ms, the start in it; ONNX Runtime alone gains"
        f" from batches: {gains}",
    )


def _pid(detector: Detector) -> int:
    form = "{{.State.Pid}}"
    return int(detector.engine.docker("inspect", "--format", form, detector.name))


def _gains(model: bytes, size: int) -> dict[int, float]:
    """How many times faster images are in one run than one by one, in a bare ONNX Runtime."""
    session = session_of(model)
    times: dict[int, list[float]] = {1: [], 8: [], 16: []}
    for _ in range(40):
        for count, taken in times.items():
            images = np.full((count, 3, size, size), 0.5, np.float32)
            began = time.perf_counter()
            session.run(None, {"images": images})
            taken.append((time.perf_counter() - began) / count)
    one = float(np.median(times[1]))
    return {count: one / float(np.median(taken)) for count, taken in times.items() if count > 1}


def _switching(built: Built, folder: Path, *, switches: int) -> Row:
    outcome: dict[str, Any] = {}
    with _running(built, folder, {"bench": ({}, colour_detector())}) as (detector,):
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
    built: Built,
    folder: Path,
    asked: Mapping[str, tuple[Mapping[str, str], bytes]],
    *arguments: str,
) -> Iterator[list[Detector]]:
    """Containers that are ready, by their names with environment and model; gone afterwards."""
    try:
        detectors = []
        for name, (environment, model) in asked.items():
            models = Path(tempfile.mkdtemp(dir=folder))
            started = start(built, name, models, *arguments, model=model, environment=environment)
            detectors.append(started)
        for each in detectors:
            each.wait_ready()
        yield detectors
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
