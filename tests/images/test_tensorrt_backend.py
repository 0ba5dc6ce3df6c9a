"""What the TensorRT way does with sizes and failures; TensorRT and the GPU are stood in for."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from images.detector.server import tensorrt_backend
from images.detector.server.backend import GpuLostError, NoRoomError, NotUsableError, UnfitError
from images.detector.server.cuda import CudaError
from images.detector.server.tensorrt_backend import TensorRTBackend

SMALLEST, LARGEST = (1, 3, 32, 32), (2, 3, 64, 64)


class Memory:
    """A Stream whose GPU is this process's memory; a copy past what was asked for is an error."""

    handle = 1

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.closed = 0
        self.failure: CudaError | None = None
        streams.append(self)

    def enter(self) -> None:
        """Nothing to enter."""

    def memory(self, size: int) -> int:
        made = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(made)] = made
        return ctypes.addressof(made)

    def to_gpu(self, address: int, source: int, size: int) -> None:
        if size > len(self.held[address]):
            raise CudaError("cuMemcpyHtoDAsync_v2: CUDA_ERROR_INVALID_VALUE (1)", 1)

    def from_gpu(self, target: int, address: int, size: int) -> None:
        assert size <= len(self.held[address])

    def wait(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closed += 1


streams: list[Memory] = []


class Context:
    """An execution context with one profile."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        fits = all(a <= b <= c for a, b, c in zip(SMALLEST, shape, LARGEST, strict=True))
        self.shape = tuple(shape) if fits else self.shape
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.shape[0], 5, 4)

    def set_tensor_address(self, name: str, address: int) -> bool:
        return True

    def execute_async_v3(self, stream: int) -> bool:
        return True


class Engine:
    """images to output0, with open sizes."""

    num_io_tensors = 2
    context: Any = Context

    def get_tensor_name(self, index: int) -> str:
        return ("images", "output0")[index]

    def get_tensor_mode(self, name: str) -> int:
        return int(name == "images")

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [SMALLEST, SMALLEST, LARGEST]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 3, -1, -1) if name == "images" else (-1, 5, 4)

    def create_execution_context(self) -> Context | None:
        made: Context | None = self.context()
        return made


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    streams.clear()
    monkeypatch.setattr(tensorrt_backend, "Stream", Memory)
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda data: Engine() if data[4:] else None)
    module = SimpleNamespace(
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda *_: None}),
        Runtime=lambda _: runtime,
        TensorIOMode=SimpleNamespace(INPUT=1),
        float32="float32",
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    path = tmp_path / "detector.plan"
    path.write_bytes(b"ftrt engine")
    return path


def backend(plan: Path) -> TensorRTBackend:
    return TensorRTBackend(plan, cuda_graphs=False, memory_limit_bytes=None)


def test_images_over_the_profile_are_refused_and_the_gpu_is_not_lost(plan: Path) -> None:
    made = backend(plan)
    assert (made.shape.smallest, made.shape.largest) == (SMALLEST, LARGEST)
    assert made.max_batch == 2
    for size in ((1, 3, 96, 96), (1, 3, 16, 16), (2, 3, 64, 65)):
        assert not made.shape.takes(size)
        with pytest.raises(UnfitError, match=r"takes shapes from \[1, 3, 32, 32\]"):
            made.run(np.zeros(size, np.float32))
    assert made.run(np.zeros(LARGEST, np.float32)).shape == (2, 5, 4)


def test_no_memory_is_not_a_lost_gpu(plan: Path) -> None:
    made = backend(plan)
    streams[0].failure = CudaError("cuStreamSynchronize: CUDA_ERROR_OUT_OF_MEMORY (2)", 2)
    with pytest.raises(NoRoomError):
        made.run(np.zeros(SMALLEST, np.float32))
    streams[0].failure = CudaError("cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700)", 700)
    with pytest.raises(GpuLostError):
        made.run(np.zeros(SMALLEST, np.float32))
    streams[0].failure = None
    assert made.run(np.zeros(SMALLEST, np.float32)).shape == (1, 5, 4)


def test_what_cannot_be_run_holds_nothing(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "context", lambda _: None)
    with pytest.raises(NotUsableError, match="no memory for its execution context"):
        backend(plan)
    plan.write_bytes(b"ftrt")
    with pytest.raises(NotUsableError, match="does not load the plan"):
        backend(plan)
    assert [each.closed for each in streams] == [1, 1]
