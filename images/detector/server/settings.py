"""What the server is told: environment variables, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OnGpuLoss = Literal["fall-back", "fail"]


class SettingError(Exception):
    """A variable that cannot be what it is; the text says which and why."""


@dataclass(frozen=True)
class Settings:
    """How the server runs. Sizes in bytes, times in seconds."""

    name: str  # of the model, in /v2/models/NAME
    onnx: Path
    engine: Path | None  # a TensorRT plan; None: there is none
    port: int
    max_batch: int
    max_delay: float  # how long a request waits for others that are on their way
    queue_limit: int  # images that wait; more are refused with 503
    confidence: float
    iou: float
    body_limit_bytes: int
    json_limit_bytes: int  # of a body, what is JSON
    body_seconds: float  # a client that is slower is cut off
    drain_seconds: float
    stuck_seconds: float  # a run of the model that takes longer never ends
    watch_seconds: float  # how often the model's files are looked at
    threads: int  # of ONNX Runtime on the CPU; 0: as many as there are cores
    gpu_memory_bytes: int | None  # None: no ceiling
    on_gpu_loss: OnGpuLoss
    cuda_graphs: bool
    max_pixels: int
    labels: tuple[str, ...]  # names of the classes
    shared_memory_regions: int  # that clients may register; 0: none


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    engine = environment.get("ROOST_ENGINE", "")
    loss = environment.get("DETECTOR_ON_GPU_LOSS", "fall-back")
    if loss not in ("fall-back", "fail"):
        raise SettingError(f"DETECTOR_ON_GPU_LOSS is {loss!r}: it may be fall-back or fail")

    def number(name: str, default: float, least: float) -> float:
        return _number(environment, name, default, least)

    ceiling = int(number("DETECTOR_GPU_MEMORY_BYTES", 0, 0))
    labels = environment.get("DETECTOR_LABELS", "")
    return Settings(
        name=environment.get("DETECTOR_NAME", "detector"),
        onnx=Path(environment.get("DETECTOR_ONNX", "/models/detector.onnx")),
        engine=Path(engine) if engine else None,
        port=int(number("DETECTOR_PORT", 8080, 1)),
        max_batch=int(number("DETECTOR_MAX_BATCH", 8, 1)),
        max_delay=number("DETECTOR_MAX_DELAY_MS", 2, 0) / 1000,
        queue_limit=int(number("DETECTOR_QUEUE_LIMIT", 256, 1)),
        confidence=number("DETECTOR_CONFIDENCE", 0.25, 0),
        iou=number("DETECTOR_IOU", 0.45, 0),
        body_limit_bytes=int(number("DETECTOR_BODY_LIMIT_BYTES", 64 * 1024 * 1024, 1)),
        json_limit_bytes=int(number("DETECTOR_JSON_LIMIT_BYTES", 32 * 1024 * 1024, 1)),
        body_seconds=number("DETECTOR_BODY_SECONDS", 10, 0.1),
        drain_seconds=number("DETECTOR_DRAIN_SECONDS", 10, 0),
        stuck_seconds=number("DETECTOR_STUCK_SECONDS", 60, 0.05),
        watch_seconds=number("DETECTOR_WATCH_SECONDS", 1, 0.05),
        threads=int(number("DETECTOR_THREADS", 0, 0)),
        gpu_memory_bytes=ceiling or None,
        on_gpu_loss="fail" if loss == "fail" else "fall-back",
        cuda_graphs=environment.get("DETECTOR_CUDA_GRAPHS", "1") != "0",
        max_pixels=int(number("DETECTOR_MAX_PIXELS", 64_000_000, 1)),
        labels=tuple(each.strip() for each in labels.split(",")) if labels else (),
        shared_memory_regions=int(number("DETECTOR_SHARED_MEMORY_REGIONS", 0, 0)),
    )


def _number(environment: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        raise SettingError(f"{name} is {text!r}, which is no number") from None
    if not least <= value < float("inf"):
        raise SettingError(f"{name} is {text}: it is at least {least:g}")
    return value
