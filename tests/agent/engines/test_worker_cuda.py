"""worker.py's way to the GPU, with a C stub of libcuda in the driver's place (no GPU)."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engines import worker
from tests.libcuda_stub.build import build

ILLEGAL_ADDRESS = 700


class Stub:
    """The stub's own functions, beside those of a driver."""

    def __init__(self, path: Path) -> None:
        self.path, self._library = path, ctypes.CDLL(str(path))

    def begin(self, fail_call: int = 0, code: int = 0) -> int:
        """Count calls anew, let one fail; how many there were."""
        return int(self._library.stub_begin(ctypes.c_long(fail_call), ctypes.c_long(code)))

    @property
    def held(self) -> int:
        """Memory, streams, events and contexts that nobody gave back."""
        return int(self._library.stub_held())

    def clear(self) -> None:
        """Forget all things but contexts."""
        self._library.stub_clear()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("libcuda"))


@pytest.fixture
def stub(path: Path) -> Iterator[Stub]:
    stub = Stub(path)
    stub.begin()
    assert stub.held == 0
    yield stub
    stub.begin()


def use_everything(path: Path) -> bytes:
    """Every call that worker.py makes, in the order of a run; what came back from the GPU."""
    driver = worker.Driver(str(path))
    driver.devices()
    driver.device()
    with (
        worker.Gpu.opened(driver) as gpu,
        gpu.stream() as stream,
        gpu.event() as start,
        gpu.event() as end,
        gpu.allocated(1000) as memory,
    ):
        free, total = gpu.memory()
        assert 0 < free < total
        back = bytearray(1000)
        gpu.mark(start, stream)
        gpu.put(memory, bytes(range(250)) * 4, stream)
        gpu.get(memory, back, stream)
        gpu.mark(end, stream)
        assert back == bytes(1000), "nothing is done before somebody waits"
        gpu.finish(stream)
        assert gpu.milliseconds(start, end) == pytest.approx(0.0002), "10 MB a millisecond"
        return bytes(back)


def test_bytes_go_there_and_come_back(stub: Stub) -> None:
    assert use_everything(stub.path) == bytes(range(250)) * 4
    assert stub.held == 0


def test_what_the_device_is(stub: Stub) -> None:
    assert worker.Driver(str(stub.path)).device() == {
        "name": "libcuda stub 0",
        "compute_capability": "8.6",
        "multiprocessors": 72,
        "memory_bytes": 16 * 1024**3,
    }


def test_whichever_call_fails_is_named_and_nothing_stays_behind(stub: Stub) -> None:
    use_everything(stub.path)
    calls = stub.begin()
    assert calls > 20
    failed = []
    for number in range(1, calls + 1):
        stub.begin(number, ILLEGAL_ADDRESS)
        with pytest.raises(worker.CudaError) as caught:
            use_everything(stub.path)
        error = caught.value
        assert error.name == "CUDA_ERROR_ILLEGAL_ADDRESS"
        assert str(error) == f"{error.call}: {error.name}: an illegal memory access was encountered"
        failed.append(error.call)
        gives_back = "Free" in error.call or "Destroy" in error.call or "Release" in error.call
        left = stub.held
        assert left == int(gives_back), error.call
        if left:  # the one call that was to give it back is the one that failed
            clear(stub, error.call)
    assert len(set(failed)) == 22


def clear(stub: Stub, call: str) -> None:
    """Take from the stub what a call that failed has left there."""
    if "Release" in call:
        worker.Driver(str(stub.path)).call("cuDevicePrimaryCtxRelease_v2", 0)
    else:
        stub.clear()
    assert stub.held == 0


class OlderDriver(worker.Driver):
    """One from before CUDA 11.4."""

    def function(self, *names: str) -> Any:
        return super().function(*(each for each in names if each != "cuGraphInstantiateWithFlags"))


def launch_a_graph(driver: worker.Driver) -> bytes:
    """What is there after a copy that was captured was launched."""
    with (
        worker.Gpu.opened(driver) as gpu,
        gpu.stream() as stream,
        gpu.allocated(4) as memory,
    ):

        def begin() -> bool:
            gpu.put(memory, b"bird", stream)
            return True

        back = bytearray(4)
        with gpu.graph(stream, begin) as graph:
            gpu.launch(graph, stream)
            gpu.get(memory, back, stream)
            gpu.finish(stream)
        return bytes(back)


@pytest.mark.parametrize("kind", [worker.Driver, OlderDriver])
def test_a_graph_of_an_old_and_a_new_driver(stub: Stub, kind: type[worker.Driver]) -> None:
    assert launch_a_graph(kind(str(stub.path))) == b"bird"
    assert stub.held == 0


def test_whichever_call_of_a_graph_fails_is_named(stub: Stub) -> None:
    launch_a_graph(worker.Driver(str(stub.path)))
    calls = stub.begin()
    why = set()
    for number in range(1, calls + 1):
        stub.begin(number, ILLEGAL_ADDRESS)
        with pytest.raises((worker.CudaError, worker.UncapturedError)) as caught:
            launch_a_graph(worker.Driver(str(stub.path)))
        name = str(caught.value).partition(":")[0]
        gives_back = "Free" in name or "Destroy" in name or "Release" in name
        assert stub.held == int(gives_back), name
        if gives_back:
            clear(stub, name)
        why |= {name} if isinstance(caught.value, worker.UncapturedError) else set()
    assert why == {
        *("cuStreamBeginCapture_v2", "cuMemcpyHtoDAsync_v2", "cuStreamEndCapture"),
        *("cuGraphGetNodes", "cuGraphInstantiateWithFlags"),
    }


def test_memory_that_is_not_there(stub: Stub) -> None:
    driver = worker.Driver(str(stub.path))
    with (
        pytest.raises(worker.CudaError, match="cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY") as caught,
        worker.Gpu.opened(driver) as gpu,
        gpu.allocated(17 * 1024**3),
    ):
        raise AssertionError("not reached")
    assert (caught.value.name, stub.held) == ("CUDA_ERROR_OUT_OF_MEMORY", 0)


def test_no_bytes_are_some_address_and_no_copy(stub: Stub) -> None:
    driver = worker.Driver(str(stub.path))
    with worker.Gpu.opened(driver) as gpu, gpu.stream() as stream, gpu.allocated(0) as memory:
        assert memory
        gpu.put(memory, b"", stream)
        gpu.get(memory, bytearray(), stream)
        gpu.finish(stream)


def test_the_first_error_is_told_and_not_that_of_giving_back(stub: Stub) -> None:
    driver = worker.Driver(str(stub.path))

    def freed_twice() -> None:
        with worker.Gpu.opened(driver) as gpu, gpu.allocated(8) as memory:
            driver.call("cuMemFree_v2", ctypes.c_uint64(memory))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        freed_twice()
    assert stub.held == 0


def test_no_driver(tmp_path: Path) -> None:
    with pytest.raises(worker.CudaError, match="not loaded"):
        worker.Driver(str(tmp_path / "libcuda.so.1"))


def test_a_driver_without_a_gpu(stub: Stub) -> None:
    stub.begin(1, 100)
    with pytest.raises(worker.CudaError, match=r"cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable"):
        worker.Driver(str(stub.path))


def test_an_error_that_the_driver_does_not_know(stub: Stub) -> None:
    stub.begin(1, 98765)
    with pytest.raises(worker.CudaError, match="cuInit: 98765: the driver does not say more"):
        worker.Driver(str(stub.path))


def test_a_function_that_an_old_driver_lacks(stub: Stub) -> None:
    with pytest.raises(worker.CudaError, match="cuOfNextYear: not found"):
        worker.Driver(str(stub.path)).call("cuOfNextYear")


ON_GPU = Path(__file__).with_name("libcuda_on_gpu.py")


def run_on_gpu(library: Path | None) -> tuple[int, str]:
    environment = {name: text for name, text in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if library is not None:
        environment["LD_LIBRARY_PATH"] = str(library.parent)
    command = [sys.executable, "-I", str(ON_GPU)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=50
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(60)
def test_the_script_for_a_real_gpu_holds_with_the_stub(path: Path, tmp_path: Path) -> None:
    """So that what it says on a real one is about the GPU, not about the script."""
    code, said = run_on_gpu(path)
    assert code == 0, said
    assert said.splitlines()[-1] == "15 of 15 held"
    code, said = run_on_gpu(None)
    if code != 0:  # 0: there is a GPU here
        assert (code, said.startswith("NOTHING WAS TESTED")) == (2, True)
