"""The model in ONNX Runtime, on a GPU or on the CPU."""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from .backend import Floats, GpuLostError, NoRoomError, NotUsableError, Shape
from .cuda_graphs import Graphs, batch_sizes

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_FATAL = 4
# What a process has of a GPU's memory beside ONNX Runtime's arena: CUDA's context, 543 MB, and what
# cuDNN and cuBLAS load. NVML counted up to 812 MB in all on an H200, driver 580.159.04, CUDA 13.0.
CUDA_OWN_BYTES = 896 * 1024 * 1024
# Of some hundred words of its errors, with function signatures: what CUDA or its arena said.
_HEART = re.compile(
    r"(CUDA|CUDNN|CUBLAS\w*|CUFFT|CURAND) failure .*?(?= ;|$)"
    r"|Available memory of \d+ is smaller than requested bytes of \d+"
    r"|Failed to allocate memory for requested buffer of size \d+"
)
log = logging.getLogger("detector")
# How ONNX Runtime names what comes from the CUDA provider, in the text of its one exception type.
_GPU_WORDS = ("CUDA", "CUBLAS", "CUDNN", "cuda")
# How its arena, CUDA, cuBLAS and cuDNN say that there is no memory left; the GPU is well then.
_NO_ROOM_WORDS = (
    "Failed to allocate memory",
    "is smaller than requested bytes",
    "out of memory",
    "OUT_OF_MEMORY",
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
        graphs_up_to: int = 0,
    ) -> None:
        self.kind = f"onnx-{device}"
        if device == "cuda" and _CUDA not in ort.get_available_providers():
            raise NotUsableError("the ONNX Runtime in this image is built without CUDA")
        try:
            with onnx.open("rb"):
                pass  # ONNX Runtime has a number for why it cannot be read
        except OSError as error:
            raise NotUsableError(f"{onnx}: {error.strerror}") from None
        # Its lines are no JSON, and what is in them is in what it raises; and newer ones tell
        # Microsoft of what they do, where they can.
        ort.set_default_logger_severity(_FATAL)
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _FATAL
        # Its threads would turn idly after each run, on the cores that read the next request.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graphs: Graphs | None = None

        def start(beside: int = 0, **more: str) -> Any:
            cuda = {"arena_extend_strategy": "kSameAsRequested", **more}
            if gpu_memory_bytes is not None:
                cuda["gpu_mem_limit"] = str(_arena(gpu_memory_bytes, beside))
            return _session(onnx, options, [(_CUDA, cuda)] if device == "cuda" else [_CPU])

        try:
            self._session = start()
        except NoRoomError as error:
            raise NotUsableError(str(error)) from None
        if device == "cuda" and _CUDA not in self._session.get_providers():
            raise NotUsableError(f"ONNX Runtime did not take CUDA: {_why_no_cuda()}")
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
        if device == "cuda":
            self._record(start, graphs_up_to)

    def _record(self, start: Callable[..., Any], most: int) -> None:
        """For batches of `most`, or of as many as there is memory for; 0: no graphs are wanted."""
        fixed = self.max_batch
        most = (fixed or most) if most and None not in self.shape.input[1:] else 0
        each = self._bytes_of_one() if most else 0
        while most:
            # One at a time: each has the model's weights in the GPU's memory.
            self._session = None
            try:
                self._session = start(most * each, enable_cuda_graph="1")
                sizes = batch_sizes(most) if fixed is None else [fixed]
                self._graphs = Graphs(self._session, self.shape, sizes)
            except Exception as error:  # noqa: BLE001 - it has a class for each status, and no base
                log.info("no CUDA graphs for batches of %d: %s", most, short(error))
                self._session = None
                is_no_room = isinstance(error, NoRoomError) or isinstance(
                    failure(error), NoRoomError
                )
                most = most // 2 if is_no_room and fixed is None else 0
            else:
                self.max_batch = most
                return
        # Each other size would be planned anew, which takes longer than a hundred runs.
        self.max_batch = fixed or 1
        if self._session is None:
            self._session = start()

    def _bytes_of_one(self) -> int:
        """Of an image and its output, which graphs have beside the arena."""
        sizes = [size or 1 for size in self.shape.input]
        image = np.zeros(sizes, np.float32)
        (made,) = self._session.run([self.shape.output_name], {self.shape.input_name: image})
        return int(image.nbytes + made.nbytes) // sizes[0]

    def run(self, images: Floats) -> Floats:
        try:
            if self._graphs is not None:
                return self._graphs.run(images)
            (made,) = self._session.run([self.shape.output_name], {self.shape.input_name: images})
        except Exception as error:
            meant = failure(error) if self.kind == "onnx-cuda" else None
            if meant is None:
                raise
            raise meant from error
        return np.asarray(made, np.float32)

    def close(self) -> None:
        self._session = None
        if self._graphs is not None:
            self._graphs.close()


def _session(onnx: Path, options: Any, providers: Sequence[Any]) -> Any:
    try:
        # By itself it would go on with the CPU where CUDA fails, now or in a run, and print so.
        return ort.InferenceSession(str(onnx), options, providers=providers, enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - it has a class for each status, and no base
        raise NotUsableError(f"ONNX Runtime: {short(error)}") from None


def _arena(ceiling: int, beside: int) -> int:
    """What is left of the process's ceiling. Raises NoRoomError: nothing."""
    left = ceiling - CUDA_OWN_BYTES - beside
    if left <= 0:
        raise NoRoomError(
            f"the ceiling is {ceiling} bytes, of which CUDA itself takes up to {CUDA_OWN_BYTES},"
            f" and inputs and outputs {beside}"
        )
    return left


def failure(error: Exception) -> NoRoomError | GpuLostError | None:
    """What an error of the CUDA provider means; None: it is about the images."""
    text = str(error)
    if any(word in text for word in _NO_ROOM_WORDS):
        return NoRoomError(short(error))
    if any(word in text for word in _GPU_WORDS):
        return GpuLostError(short(error))
    return None


def _why_no_cuda() -> str:
    """What ONNX Runtime only writes to its own log: mostly a library that is not there."""
    provider = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(provider))
    except OSError as error:
        return str(error)
    return "its libraries are there; the driver or the GPU is not what it wants"


def _sizes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in shape)


def short(error: Exception) -> str:
    """What is wrong, without where in ONNX Runtime's source it was noticed."""
    text = " ".join(str(error).split())
    found = _HEART.search(text)
    return (found.group() if found else text)[:300]
