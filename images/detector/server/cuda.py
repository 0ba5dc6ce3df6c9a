"""The CUDA driver through libcuda.so.1, as far as engines and graphs need it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIBRARY = "libcuda.so.1"
_NON_BLOCKING = 1
# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_CAPTURE_HERE = 1
_OUT_OF_MEMORY = 2


class CudaError(Exception):
    """What the driver said. `code`: CUresult; None: there is no driver to say anything."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code

    @property
    def is_no_room(self) -> bool:
        """CUDA_ERROR_OUT_OF_MEMORY: the GPU is well."""
        return self.code == _OUT_OF_MEMORY


@dataclass(frozen=True)
class GpuFacts:
    """The GPU that this container sees. None with `reason`: not known."""

    name: str | None
    driver: str | None  # "535.104.05"
    cuda: str | None  # the newest CUDA that the driver itself has: "12.2"
    reason: str | None = None


class Driver:
    """libcuda's functions. Raises CudaError where there is no driver or no GPU."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise CudaError(f"{_LIBRARY} cannot be loaded: {error}") from None
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Raises CudaError."""
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(code, ctypes.byref(text))
            raise CudaError(f"{name}: {(text.value or b'?').decode()} ({code})", code)

    def made(self, name: str, kind: Any, *arguments: Any) -> Any:
        """What a function makes that writes it to its first argument."""
        value = kind()
        self.call(name, ctypes.byref(value), *arguments)
        return value


def gpu_facts() -> GpuFacts:
    """Never raises; what cannot be found out has a reason."""
    driver_version = _kernel_driver()
    try:
        driver = Driver()
        number = driver.made("cuDriverGetVersion", ctypes.c_int).value
        device = driver.made("cuDeviceGet", ctypes.c_int, 0)
        name = ctypes.create_string_buffer(256)
        driver.call("cuDeviceGetName", name, 256, device)
    except CudaError as error:
        return GpuFacts(None, driver_version, None, str(error))
    cuda = f"{number // 1000}.{number % 1000 // 10}"
    return GpuFacts(name.value.decode(errors="replace"), driver_version, cuda)


def _kernel_driver() -> str | None:
    """The kernel module's version, which containers see, too."""
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def first_words(gpu: GpuFacts, image_cuda: str | None) -> str:
    """What a person wants to know first: whether this image's CUDA can work here."""
    if image_cuda is None:
        return "this image has no CUDA: the model runs on the CPU"
    if gpu.reason is not None:
        return f"this image has CUDA {image_cuda}, and no GPU can be used: {gpu.reason}"
    ours, theirs = _pair(image_cuda), _pair(gpu.cuda or "")
    if ours and theirs and ours[0] > theirs[0]:
        return (
            f"this image's CUDA {image_cuda} is too new for the driver"
            f" {gpu.driver or 'of this machine'}, which has CUDA {gpu.cuda}: use an image for CUDA"
            f" {theirs[0]}, or a newer driver"
        )
    return f"CUDA {image_cuda} on {gpu.name}, driver {gpu.driver} with CUDA {gpu.cuda}"


def _pair(version: str) -> tuple[int, int] | None:
    parts = version.split(".")
    if len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal():
        return int(parts[0]), int(parts[1])
    return None


class Stream:
    """The first GPU's primary context, a stream in it, and memory. For one thread."""

    def __init__(self) -> None:
        self._driver = Driver()
        device = self._driver.made("cuDeviceGet", ctypes.c_int, 0)
        # What gives back all that is held, each as the driver takes it.
        self._held: list[tuple[str, Any]] = []
        self._context = self._driver.made("cuDevicePrimaryCtxRetain", ctypes.c_void_p, device)
        self._held.append(("cuDevicePrimaryCtxRelease_v2", device))
        try:
            self.enter()
            self._stream = self._driver.made("cuStreamCreate", ctypes.c_void_p, _NON_BLOCKING)
        except CudaError:
            self.close()
            raise
        self._held.append(("cuStreamDestroy_v2", self._stream))

    def enter(self) -> None:
        """Have the calling thread use this context."""
        self._driver.call("cuCtxSetCurrent", self._context)

    @property
    def handle(self) -> int:
        """As TensorRT takes it."""
        return int(self._stream.value or 0)

    def free_bytes(self) -> int:
        """Free memory of the GPU, whoever has the rest."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def memory(self, size: int) -> int:
        """An address on the GPU, held until `close`."""
        address = self._driver.made("cuMemAlloc_v2", ctypes.c_uint64, ctypes.c_size_t(size))
        self._held.append(("cuMemFree_v2", address))
        return int(address.value)

    def to_gpu(self, address: int, source: int, size: int) -> None:
        """Enqueue a copy from this process's memory."""
        self._copy("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), ctypes.c_void_p(source), size)

    def from_gpu(self, target: int, address: int, size: int) -> None:
        """Enqueue a copy to this process's memory."""
        self._copy("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(target), ctypes.c_uint64(address), size)

    def _copy(self, name: str, target: Any, source: Any, size: int) -> None:
        self._driver.call(name, target, source, ctypes.c_size_t(size), self._stream)

    def wait(self) -> None:
        """Until all that was enqueued is done."""
        self._driver.call("cuStreamSynchronize", self._stream)

    def begin_capture(self) -> None:
        """What is enqueued from here on becomes a graph."""
        self._driver.call("cuStreamBeginCapture_v2", self._stream, _CAPTURE_HERE)

    def end_capture(self) -> Any:
        """The graph, ready to be launched, and held until `close`."""
        graph = ctypes.c_void_p()
        self._driver.call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            ready = self._driver.made(
                "cuGraphInstantiateWithFlags", ctypes.c_void_p, graph, ctypes.c_uint64(0)
            )
        finally:
            self._driver.call("cuGraphDestroy", graph)
        self._held.append(("cuGraphExecDestroy", ready))
        return ready

    def launch(self, graph: Any) -> None:
        """Enqueue a graph."""
        self._driver.call("cuGraphLaunch", graph, self._stream)

    def close(self) -> None:
        """Give all of it back, the last first. Raises CudaError: the first of what failed."""
        failed: list[CudaError] = []
        held, self._held = self._held, []
        # Where the context cannot be entered, the driver knows of each whose it is.
        calls = [("cuCtxSetCurrent", self._context), *reversed(held)] if held else []
        for name, what in calls:
            try:
                self._driver.call(name, what)
            except CudaError as error:
                failed.append(error)
        if failed:
            raise failed[0]
