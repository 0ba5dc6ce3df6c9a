"""A TensorRT engine that was built for this GPU.

Not yet run: TensorRT was nowhere to be had when this was written, and TensorRT-RTX, which was, does
not support an H200. What it does with memory, streams and graphs (`cuda.py`) was run on one.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from .backend import Floats, GpuLostError, NoRoomError, NotUsableError, Shape, UnfitError
from .cuda import CudaError, Stream

# What Ultralytics writes before a plan: four bytes of length, and JSON.
_MAGIC = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}


class TensorRTBackend:
    """An engine and its memory for the largest batch. Raises NotUsableError when made; blocks."""

    kind = "tensorrt"

    def __init__(self, plan: Path, *, cuda_graphs: bool, memory_limit_bytes: int | None) -> None:
        try:
            data = plan.read_bytes()
        except OSError as error:
            raise NotUsableError(f"{plan}: {error.strerror}") from None
        name = _MAGIC.get(data[:4])
        if name is None:
            raise NotUsableError(f"{plan} is no TensorRT plan")
        try:
            trt = importlib.import_module(name)
        except ImportError as error:
            raise NotUsableError(f"the plan is of {name}, which is not here: {error}") from None
        try:
            self._stream = Stream()
        except CudaError as error:
            raise NotUsableError(f"no GPU: {error}") from None
        logger = trt.Logger(trt.Logger.ERROR)
        # Kept, for the engine needs it as long as it lives.
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        self._context: Any = None
        if self._engine is None:
            self.close()
            version = getattr(trt, "__version__", "?")
            raise NotUsableError(
                f"{name} {version} does not load the plan: it was built for another GPU or version"
            )
        try:
            self._prepare(trt, len(data), memory_limit_bytes)
        except (CudaError, KeyError, ValueError) as error:
            self.close()
            raise NotUsableError(f"the engine cannot be run: {error}") from None
        except Exception:
            self.close()
            raise
        self._graphs: dict[tuple[int, ...], Any] | None = {} if cuda_graphs else None

    def _prepare(self, trt: Any, plan_bytes: int, limit_bytes: int | None) -> None:
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = {name: engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        (given,) = [name for name in names if is_input[name]]
        (made, *_) = [name for name in names if not is_input[name]]
        for name in (given, made):
            if engine.get_tensor_dtype(name) != trt.float32:
                raise ValueError(f"{name} is not float32")
        profile = engine.get_tensor_profile_shape(given, 0)
        smallest, largest = (tuple(int(size) for size in profile[which]) for which in (0, 2))
        self.shape = Shape(
            given,
            _sizes(engine.get_tensor_shape(given)),
            made,
            _sizes(engine.get_tensor_shape(made)),
            smallest,
            largest,
        )
        self.max_batch: int | None = largest[0]
        self.least_batch = smallest[0]
        self._context = engine.create_execution_context()
        if self._context is None:
            raise ValueError("there is no memory for its execution context")
        if not self._context.set_input_shape(given, largest):
            raise ValueError(f"it does not take its own profile's largest shape {list(largest)}")
        output = tuple(self._context.get_tensor_shape(made))
        # Page-locked memory is not needed: the pictures are small beside what the model computes.
        self._host_in = np.zeros(largest, np.float32)
        self._host_out = np.zeros(output, np.float32)
        needed = plan_bytes + self._host_in.nbytes + self._host_out.nbytes
        if limit_bytes is not None and needed > limit_bytes:
            raise ValueError(f"it needs {needed} bytes at least, over the ceiling of {limit_bytes}")
        self._gpu_in = self._stream.memory(self._host_in.nbytes)
        self._gpu_out = self._stream.memory(self._host_out.nbytes)
        self._context.set_tensor_address(given, self._gpu_in)
        self._context.set_tensor_address(made, self._gpu_out)
        # Other outputs need a place, too.
        for name in names:
            if name not in (given, made):
                size = 4 * math.prod(self._context.get_tensor_shape(name))
                self._context.set_tensor_address(name, self._stream.memory(size))

    def run(self, images: Floats) -> Floats:
        try:
            return self._run(images)
        except CudaError as error:
            if error.is_no_room:
                raise NoRoomError(str(error)) from error
            raise GpuLostError(str(error)) from error

    def _run(self, images: Floats) -> Floats:
        stream = self._stream
        stream.enter()
        flat = np.ascontiguousarray(images)
        fits = flat.nbytes <= self._host_in.nbytes and self._context.set_input_shape(
            self.shape.input_name, flat.shape
        )
        if not fits:
            raise UnfitError(
                f"the engine takes shapes from {list(self.shape.smallest or ())} to"
                f" {list(self.shape.largest or ())}, not {list(flat.shape)}"
            )
        shape = tuple(self._context.get_tensor_shape(self.shape.output_name))
        made = np.empty(shape, np.float32)
        stream.to_gpu(self._gpu_in, flat.ctypes.data, flat.nbytes)
        graph = self._graph_of(flat.shape)
        if graph is not None:
            stream.launch(graph)
        elif not self._context.execute_async_v3(stream.handle):
            raise GpuLostError("TensorRT could not enqueue the engine")
        stream.from_gpu(made.ctypes.data, self._gpu_out, made.nbytes)
        stream.wait()
        return made

    def _graph_of(self, shape: tuple[int, ...]) -> Any:
        """The graph of one input shape; None: the engine does not allow one."""
        if self._graphs is None:
            return None
        if shape not in self._graphs:
            handle = self._stream.handle
            # Once without: what is compiled or allocated at the first run cannot be captured.
            self._context.execute_async_v3(handle)
            self._stream.wait()
            try:
                self._stream.begin_capture()
                self._context.execute_async_v3(handle)
                self._graphs[shape] = self._stream.end_capture()
            except CudaError:
                self._graphs = None
                return None
        return self._graphs[shape]

    def close(self) -> None:
        # What lives in the CUDA context goes before it.
        self._context = self._engine = self._runtime = None
        with contextlib.suppress(CudaError):
            self._stream.close()


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(int(size) if size > 0 else None for size in shape)
