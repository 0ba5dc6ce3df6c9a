"""Which of a model's forms is used: an engine that fits this GPU, else ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .backend import Backend, NotUsableError
from .onnx_backend import OnnxBackend
from .settings import Settings
from .tensorrt_backend import TensorRTBackend

Way = tuple[str, Callable[[], Backend]]


@dataclass(frozen=True)
class Chosen:
    """What is used, and why each that comes before it is not."""

    backend: Backend
    not_taken: tuple[str, ...]


def ways(settings: Settings, *, without_gpu: bool = False) -> Sequence[Way]:
    """In the order in which they are tried."""

    def engine() -> Backend:
        if settings.engine is None:
            raise NotUsableError("ROOST_ENGINE is not set: no engine was handed to this container")
        return TensorRTBackend(
            settings.engine,
            cuda_graphs=settings.cuda_graphs,
            memory_limit_bytes=settings.gpu_memory_bytes,
        )

    def onnx(device: str) -> Backend:
        return OnnxBackend(
            settings.onnx,
            "cuda" if device == "cuda" else "cpu",
            threads=settings.threads,
            gpu_memory_bytes=settings.gpu_memory_bytes,
        )

    on_gpu: list[Way] = [("tensorrt", engine), ("onnx-cuda", lambda: onnx("cuda"))]
    return [*([] if without_gpu else on_gpu), ("onnx-cpu", lambda: onnx("cpu"))]


def choose(tried: Sequence[Way]) -> Chosen:
    """The first that works. Blocks. Raises NotUsableError with all their reasons."""
    reasons: list[str] = []
    for name, make in tried:
        try:
            return Chosen(make(), tuple(reasons))
        except NotUsableError as error:
            reasons.append(f"{name}: {error}")
    raise NotUsableError("; ".join(reasons))
