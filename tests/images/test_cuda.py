"""What is held of the GPU, and given back, on a driver that notes what it is told."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from images.detector.server import cuda
from images.detector.server.cuda import CudaError, Stream

GIVES_BACK = {
    "cuDevicePrimaryCtxRelease_v2": "cuDevicePrimaryCtxRetain",
    "cuStreamDestroy_v2": "cuStreamCreate",
    "cuMemFree_v2": "cuMemAlloc_v2",
    "cuGraphDestroy": "cuStreamEndCapture",
    "cuGraphExecDestroy": "cuGraphInstantiateWithFlags",
}


class NotingDriver:
    """Each thing that is made has a number; `failing` functions answer CUDA_ERROR_UNKNOWN."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.held: dict[str, set[int]] = {name: set() for name in GIVES_BACK.values()}
        self.failing: set[str] = set()

    def call(self, name: str, *arguments: Any) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise CudaError(f"{name}: CUDA_ERROR_UNKNOWN (999)", 999)
        if name == "cuStreamEndCapture":
            arguments[1]._obj.value = self._new(name)
        elif name in GIVES_BACK:
            self.held[GIVES_BACK[name]].remove(arguments[0].value or 0)

    def made(self, name: str, kind: Any, *arguments: Any) -> Any:
        self.call(name, None, *arguments)
        # A device is a number of its own: its context goes by that.
        return kind(0 if name == "cuDeviceGet" else self._new(name))

    def _new(self, name: str) -> int:
        number = 0 if name == "cuDevicePrimaryCtxRetain" else len(self.calls)
        self.held.setdefault(name, set()).add(number)
        return number

    def left(self) -> list[str]:
        return [name for name in GIVES_BACK.values() if self.held[name]]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> NotingDriver:
    noting = NotingDriver()
    monkeypatch.setattr(cuda, "Driver", lambda: noting)
    return noting


def used_stream() -> Stream:
    stream = Stream()
    for _ in range(3):
        stream.memory(8)
    for _ in range(2):
        stream.begin_capture()
        assert isinstance(stream.end_capture(), ctypes.c_void_p)
    return stream


def test_all_of_it_is_given_back_once(driver: NotingDriver) -> None:
    stream = used_stream()
    assert driver.left() == [name for name in GIVES_BACK.values() if name != "cuStreamEndCapture"]
    stream.close()
    assert driver.left() == []
    assert driver.calls[-1] == "cuDevicePrimaryCtxRelease_v2"
    count = len(driver.calls)
    stream.close()
    assert len(driver.calls) == count


@pytest.mark.parametrize(
    "failing", ["cuCtxSetCurrent", "cuMemFree_v2", "cuGraphExecDestroy", "cuStreamDestroy_v2"]
)
def test_what_fails_is_told_and_the_rest_is_given_back(driver: NotingDriver, failing: str) -> None:
    stream = used_stream()
    driver.failing = {failing}
    with pytest.raises(CudaError, match=failing):
        stream.close()
    assert driver.left() == [GIVES_BACK[each] for each in [failing] if each in GIVES_BACK]


def test_a_stream_that_cannot_be_made_leaves_nothing(driver: NotingDriver) -> None:
    driver.failing = {"cuStreamCreate"}
    with pytest.raises(CudaError, match="cuStreamCreate"):
        Stream()
    assert driver.left() == []


def test_a_graph_that_cannot_be_made_ready_leaves_nothing(driver: NotingDriver) -> None:
    stream = Stream()
    stream.begin_capture()
    driver.failing = {"cuGraphInstantiateWithFlags"}
    with pytest.raises(CudaError, match="cuGraphInstantiateWithFlags"):
        stream.end_capture()
    stream.close()
    assert driver.left() == []
