"""The ONNX Runtime CUDA way: graphs for a few batch sizes, the ceiling, and what its errors mean.

ONNX Runtime and the GPU are stood in for; the errors are those of ONNX Runtime 1.31.1 on an NVIDIA
H200, driver 580.159.04: a GPU whose memory another process held, a small arena, a kernel that wrote
where nothing is, no GPU at all.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest

from images.detector.server import cuda_graphs
from images.detector.server.backend import GpuLostError, NoRoomError, NotUsableError
from images.detector.server.cuda import CudaError
from images.detector.server.cuda_graphs import batch_sizes
from images.detector.server.onnx_backend import CUDA_OWN_BYTES, OnnxBackend, failure, short

SIDE = 4
MODEL = Path("model.onnx")
NO_ROOM_IN_ARENA = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node."
    " Name:'/c0' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void*"
    " onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Available"
    " memory of 81128448 is smaller than requested bytes of 209715200"
)
_CALL = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154"
    " std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE,"
    " const char*, const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError;"
    " bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, void, common::Status> ="
    " void] "
)
FULL = (
    f"{_CALL}CUDA failure 2: out of memory ; GPU=0 ; hostname=vm ;"
    " file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355 ;"
    " expr=cudaSetDevice(info_.device_id); "
)
LOST = (
    "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was encountered ;"
    " GPU=0 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/"
    "gpu_data_transfer.cc ; line=91 ; expr=cudaMemcpyAsync(dst_data, src_data, bytes,"
    " cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream.GetHandle())); "
)


class HostGpu:
    """A Stream whose GPU is this process's memory, and which says who uses it."""

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.closed = 0
        made.append(self)

    def memory(self, size: int) -> int:
        block = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def to_gpu(self, address: int, source: int, size: int) -> None:
        assert size <= len(self.held[address])
        ctypes.memmove(address, source, size)

    def from_gpu(self, target: int, address: int, size: int) -> None:
        assert size <= len(self.held[address])
        ctypes.memmove(target, address, size)

    def wait(self) -> None:
        """All is done at once."""

    def close(self) -> None:
        self.closed += 1


made: list[HostGpu] = []


class Binding:
    """Where one batch size lies."""

    def bind_input(self, name: str, kind: str, device: int, what: Any, shape: Any, at: int) -> None:
        self.given, self.at = shape, at

    def bind_output(
        self, name: str, kind: str, device: int, what: Any, shape: Any, at: int
    ) -> None:
        self.wanted, self.to = shape, at


class Session:
    """Gives for each image its mean. `room`: so many images fit into its arena."""

    sizes: tuple[Any, ...] = ("batch", 3, SIDE, SIDE)
    room = 100
    failing: str | None = None

    def __init__(self, graphs: bool, limit: int | None) -> None:
        self.graphs, self.limit = graphs, limit
        self.ran: list[tuple[int, str, str]] = []
        sessions.append(self)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="images", type="tensor(float)", shape=list(self.sizes))]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="output0", shape=[])]

    def io_binding(self) -> Binding:
        return Binding()

    def run(self, names: Any, feeds: Any, options: Any = None) -> list[npt.NDArray[np.float32]]:
        images = feeds["images"]
        self._note(len(images), "" if options is None else options.graph)
        return [computed(images)]

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        self._note(binding.given[0], options.graph)
        count = int(np.prod(binding.given))
        images = np.ctypeslib.as_array((ctypes.c_float * count).from_address(binding.at))
        output = computed(images.reshape(binding.given))
        assert list(output.shape) == binding.wanted
        ctypes.memmove(binding.to, output.ctypes.data, output.nbytes)

    def _note(self, count: int, graph: str) -> None:
        if self.failing is not None:
            raise RuntimeError(self.failing)
        if isinstance(self.sizes[0], int) and count != self.sizes[0]:
            raise RuntimeError("INVALID_ARGUMENT : Got invalid dimensions for input")
        if count > self.room:
            raise RuntimeError(NO_ROOM_IN_ARENA)
        self.ran.append((count, graph, threading.current_thread().name))


sessions: list[Session] = []


def computed(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    means = images.mean(axis=(1, 2, 3), dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(means[:, None, None], (len(images), 5, 2)))


class Options:
    """RunOptions."""

    graph = ""

    def add_run_config_entry(self, key: str, value: str) -> None:
        assert key == "gpu_graph_id"
        self.graph = value


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    MODEL.touch()  # that it can be read is looked at before ONNX Runtime is asked
    made.clear()
    sessions.clear()

    def session(path: str, options: Any, providers: Any, enable_fallback: int) -> Session:
        assert enable_fallback == 0
        ((name, asked),) = providers
        assert name == "CUDAExecutionProvider"
        limit = asked.get("gpu_mem_limit")
        return Session("enable_cuda_graph" in asked, None if limit is None else int(limit))

    providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]  # noqa: E731
    monkeypatch.setattr(ort, "get_available_providers", providers)
    monkeypatch.setattr(ort, "InferenceSession", session)
    monkeypatch.setattr(ort, "RunOptions", Options)
    monkeypatch.setattr(cuda_graphs, "Stream", HostGpu)
    yield
    assert all(each.closed <= 1 for each in made)


def backend(*, graphs_up_to: int = 8, ceiling: int | None = None) -> OnnxBackend:
    return OnnxBackend(
        MODEL,
        "cuda",
        threads=0,
        gpu_memory_bytes=ceiling,
        graphs_up_to=graphs_up_to,
    )


def images(count: int) -> npt.NDArray[np.float32]:
    return np.arange(count * 3 * SIDE * SIDE, dtype=np.float32).reshape(count, 3, SIDE, SIDE)


def test_sizes_of_batches() -> None:
    assert [batch_sizes(most) for most in (1, 2, 3, 6, 8)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4, 6],
        [1, 2, 4, 8],
    ]


def test_each_batch_runs_as_the_next_larger_one_that_was_recorded() -> None:
    made_one = backend(graphs_up_to=6)
    assert made_one.max_batch == 6
    session = sessions[-1]
    assert session.graphs
    # One run without a graph, and for each size what allocates, records, and is recorded.
    before = [(6, "-1"), *[(size, str(size)) for size in (1, 2, 4, 6) for _ in range(3)]]
    assert [(count, graph) for count, graph, _ in session.ran] == before
    for count, ran_as in ((6, 6), (1, 1), (3, 4), (5, 6), (2, 2)):
        output = made_one.run(images(count))
        assert np.array_equal(output, computed(images(count)))
        assert session.ran[-1][:2] == (ran_as, str(ran_as))
    # ONNX Runtime knows a graph only in the thread that recorded it.
    assert len({thread for *_, thread in session.ran}) == 1
    assert threading.current_thread().name not in {thread for *_, thread in session.ran}
    made_one.close()
    assert [each.closed for each in made] == [1]


def test_parts_of_other_arrays_are_images_too() -> None:
    made_one = backend()
    every_second = images(8)[::2]
    assert np.array_equal(made_one.run(every_second), computed(every_second))
    made_one.close()


@pytest.mark.parametrize(
    ("sizes", "graphs_up_to", "max_batch"),
    [
        (("batch", 3, "height", "width"), 8, 1),
        (("batch", 3, SIDE, SIDE), 0, 1),
        ((4, 3, SIDE, SIDE), 0, 4),
    ],
)
def test_without_graphs_the_shape_never_changes(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[Any, ...], graphs_up_to: int, max_batch: int
) -> None:
    """It would be planned anew."""
    monkeypatch.setattr(Session, "sizes", sizes)
    made_one = backend(graphs_up_to=graphs_up_to)
    assert made_one.max_batch == max_batch
    assert not made
    assert np.array_equal(made_one.run(images(max_batch)), computed(images(max_batch)))


def test_of_a_fixed_batch_there_is_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "sizes", (4, 3, SIDE, SIDE))
    made_one = backend(graphs_up_to=8)
    assert (made_one.least_batch, made_one.max_batch) == (4, 4)
    assert np.array_equal(made_one.run(images(4)), computed(images(4)))
    assert {graph for _, graph, _ in sessions[-1].ran} == {"-1", "4"}
    made_one.close()


def test_less_memory_makes_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "room", 3)
    made_one = backend(graphs_up_to=16)
    assert made_one.max_batch == 2
    assert np.array_equal(made_one.run(images(2)), computed(images(2)))
    made_one.close()
    assert [each.closed for each in made] == [1] * 4


def test_a_model_that_cannot_have_graphs_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def binding(_: Session) -> Binding:
        raise RuntimeError("This session cannot use the graph capture feature as requested")

    monkeypatch.setattr(Session, "io_binding", binding)
    made_one = backend()
    assert made_one.max_batch == 1
    assert not sessions[-1].graphs
    assert np.array_equal(made_one.run(images(1)), computed(images(1)))
    assert [each.closed for each in made] == [1]


def test_the_ceiling_is_the_process_s() -> None:
    ceiling = CUDA_OWN_BYTES + 10_000
    made_one = backend(graphs_up_to=8, ceiling=ceiling)
    # An image has 4 * 48 bytes, its output 4 * 10.
    assert [each.limit for each in sessions] == [10_000, 10_000 - 8 * 232]
    assert sum(len(block) for block in made[0].held.values()) == 8 * 232
    made_one.close()
    with pytest.raises(NotUsableError, match=f"of which CUDA itself takes up to {CUDA_OWN_BYTES}"):
        backend(ceiling=CUDA_OWN_BYTES)
    small = backend(graphs_up_to=8, ceiling=CUDA_OWN_BYTES + 232 * 3)
    assert small.max_batch == 2
    small.close()


@pytest.mark.parametrize(
    ("text", "kind", "heart"),
    [
        (
            NO_ROOM_IN_ARENA,
            NoRoomError,
            "Available memory of 81128448 is smaller than requested bytes of 209715200",
        ),
        (FULL, NoRoomError, "CUDA failure 2: out of memory"),
        (LOST, GpuLostError, "CUDA failure 700: an illegal memory access was encountered"),
        (
            f"{_CALL}CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm",
            GpuLostError,
            "CUDA failure 100: no CUDA-capable device is detected",
        ),
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions", type(None), None),
    ],
)
def test_what_onnx_runtime_says(text: str, kind: type, heart: str | None) -> None:
    error = RuntimeError(text)
    assert isinstance(failure(error), kind)
    assert short(error) == (text if heart is None else heart)


def test_a_gpu_that_fails_under_graphs_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    made_one = backend()
    monkeypatch.setattr(Session, "failing", LOST)
    with pytest.raises(GpuLostError, match=r"^CUDA failure 700: an illegal memory access was"):
        made_one.run(images(1))

    def spoilt(*_: Any) -> None:
        raise CudaError("cuMemcpyHtoDAsync_v2: CUDA_ERROR_ILLEGAL_ADDRESS (700)", 700)

    monkeypatch.setattr(HostGpu, "to_gpu", spoilt)
    with pytest.raises(GpuLostError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        made_one.run(images(1))
    made_one.close()


def test_why_cuda_was_not_taken_names_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "get_providers", lambda _: ["CPUExecutionProvider"])

    def missing(path: str) -> None:
        assert path.endswith("/capi/libonnxruntime_providers_cuda.so")
        raise OSError("libcublasLt.so.13: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(NotUsableError, match=r"did not take CUDA: libcublasLt\.so\.13: cannot"):
        backend()
