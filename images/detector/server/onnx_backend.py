"""The model in ONNX Runtime, on a GPU or on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from .backend import Floats, GpuLostError, NoRoomError, NotUsableError, Shape

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# How ONNX Runtime names what comes from the CUDA provider, in the text of its one exception type.
_GPU_WORDS = ("CUDA", "CUBLAS", "CUDNN", "cuda")
# How its arena, CUDA, cuBLAS and cuDNN say that there is no memory left; the GPU is well then.
_NO_ROOM_WORDS = (
    "Failed to allocate memory",
    "is smaller than requested bytes",
    "out of memory",
    "cudaErrorMemoryAllocation",
    "_ALLOC_FAILED",
    "std::bad_alloc",
)


class OnnxBackend:
    """A session. Raises NotUsableError when made; blocks."""

    def __init__(
        self,
        onnx: Path,
        device: Literal["cuda", "cpu"],
        *,
        threads: int,
        gpu_memory_bytes: int | None,
    ) -> None:
        self.kind = f"onnx-{device}"
        if device == "cuda" and _CUDA not in ort.get_available_providers():
            raise NotUsableError("the ONNX Runtime in this image is built without CUDA")
        # Its lines are no JSON; and newer ones tell Microsoft of what they do, where they can.
        ort.set_default_logger_severity(3)
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Its threads would turn idly after each run, on the cores that read the next request.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        cuda: dict[str, Any] = {"arena_extend_strategy": "kSameAsRequested"}
        if gpu_memory_bytes is not None:
            cuda["gpu_mem_limit"] = gpu_memory_bytes
        providers = [(_CUDA, cuda)] if device == "cuda" else [_CPU]
        try:
            self._session = ort.InferenceSession(str(onnx), options, providers=providers)
        except Exception as error:  # noqa: BLE001 - it has a class for each status, and no base
            raise NotUsableError(f"ONNX Runtime: {_short(error)}") from None
        if device == "cuda" and _CUDA not in self._session.get_providers():
            raise NotUsableError("ONNX Runtime did not take CUDA: its libraries or the driver")
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise NotUsableError(f"it has {len(inputs)} inputs, and a detector's one is a picture")
        (given,) = inputs
        if given.type != "tensor(float)":
            raise NotUsableError(f"its input {given.name} is {given.type}, not tensor(float)")
        self.shape = Shape(
            given.name, _sizes(given.shape), outputs[0].name, _sizes(outputs[0].shape or [])
        )
        self.max_batch = self.shape.input[0]
        self.least_batch = self.max_batch or 1

    def run(self, images: Floats) -> Floats:
        try:
            (made,) = self._session.run([self.shape.output_name], {self.shape.input_name: images})
        except Exception as error:
            meant = failure(error) if self.kind == "onnx-cuda" else None
            if meant is None:
                raise
            raise meant from error
        return np.asarray(made, np.float32)

    def close(self) -> None:
        del self._session


def failure(error: Exception) -> NoRoomError | GpuLostError | None:
    """What an error of the CUDA provider means; None: it is about the images."""
    text = str(error)
    if any(word in text for word in _NO_ROOM_WORDS):
        return NoRoomError(_short(error))
    if any(word in text for word in _GPU_WORDS):
        return GpuLostError(_short(error))
    return None


def _sizes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in shape)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
