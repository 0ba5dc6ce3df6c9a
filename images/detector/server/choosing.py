"""Which of a model's forms is used: an engine that fits this GPU, else ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .backend import Backend, NotUsableError
from .onnx_backend import OnnxBackend
from .settings import Settings
from .tensorrt_backend import TensorRTBackend

Way = tuple[str, Callable[[], Backend]]
log = logging.getLogger("detector")


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
            graphs_up_to=settings.max_batch if settings.cuda_graphs else 0,
        )

    on_gpu: list[Way] = [("tensorrt", engine), ("onnx-cuda", lambda: onnx("cuda"))]
    return [*([] if without_gpu else on_gpu), ("onnx-cpu", lambda: onnx("cpu"))]


def choose(tried: Sequence[Way], try_out: Callable[[Backend], None]) -> Chosen:
    """The first that works. Blocks.

    Args:
        try_out: runs it; what it raises is why it is not taken, and it is closed then.

    Raises:
        NotUsableError: with all their reasons.
    """
    reasons: list[str] = []
    for name, make in tried:
        try:
            return Chosen(_made(make, try_out), tuple(reasons))
        except NotUsableError as error:
            reasons.append(f"{name}: {error}")
        except Exception as error:
            # Whatever a library brings with somebody's file: the next way may still do.
            log.exception("%s failed", name)
            reasons.append(f"{name}: {type(error).__name__}: {error}")
    raise NotUsableError("; ".join(reasons))


def _made(make: Callable[[], Backend], try_out: Callable[[Backend], None]) -> Backend:
    backend = make()
    try:
        try_out(backend)
    except Exception:
        backend.close()
        raise
    return backend
