"""Which way to run a model is taken, and what happens when the GPU is lost under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from images.detector.server.backend import Backend, Floats, GpuLostError, NotUsableError, Shape
from images.detector.server.choosing import Way, choose
from images.detector.server.cuda import GpuFacts, first_words
from images.detector.server.model import Loaded, ModelInUse
from images.detector.server.problems import RequestError

BLANK = np.zeros((1, 3, 4, 4), np.float32)


class FakeBackend:
    """Gives its own number; `lost` once the GPU is away."""

    def __init__(self, kind: str, number: float = 0.0, max_batch: int | None = None) -> None:
        self.kind, self.number, self.max_batch = kind, number, max_batch
        self.shape = Shape("images", (None, 3, 4, 4), "output0", (None, 5, 1))
        self.lost = self.closed = False
        self.batches: list[int] = []

    def run(self, images: Floats) -> Floats:
        if self.lost:
            raise GpuLostError("cuMemcpyHtoDAsync_v2: CUDA_ERROR_LAUNCH_FAILED (719)")
        self.batches.append(len(images))
        return np.full((len(images), 5, 1), self.number, np.float32)

    def close(self) -> None:
        self.closed = True


def way(backend: Backend) -> Way:
    return backend.kind, lambda: backend


def not_usable(kind: str, why: str) -> Way:
    def make() -> Backend:
        raise NotUsableError(why)

    return kind, make


def test_the_first_that_works_is_taken_and_the_others_have_reasons() -> None:
    cpu = FakeBackend("onnx-cpu")
    chosen = choose([not_usable("tensorrt", "no engine"), not_usable("onnx-cuda", "x"), way(cpu)])
    assert chosen.backend is cpu
    assert chosen.not_taken == ("tensorrt: no engine", "onnx-cuda: x")
    with pytest.raises(NotUsableError, match="tensorrt: no engine; onnx-cuda: x"):
        choose([not_usable("tensorrt", "no engine"), not_usable("onnx-cuda", "x")])


@asynccontextmanager
async def in_use(
    tmp_path: Path, gpu: FakeBackend, cpu: FakeBackend, on_gpu_loss: Any = "fall-back"
) -> AsyncIterator[ModelInUse]:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"1")

    def ways(without_gpu: bool) -> Sequence[Way]:
        return [way(cpu)] if without_gpu else [way(gpu), way(cpu)]

    seen: list[Loaded] = []
    metrics = MagicMock()
    model = ModelInUse(ways, [file], on_gpu_loss=on_gpu_loss, metrics=metrics, changed=seen.append)
    assert model.why_not_ready == "the model is being loaded"
    assert await model.load()
    yield model
    model.stop()


async def test_a_gpu_that_is_lost_and_the_cpu_goes_on(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda", 1.0), FakeBackend("onnx-cpu", 2.0)
    async with in_use(tmp_path, gpu, cpu) as model:
        assert (await model.run(BLANK)).max() == 1.0
        gpu.lost = True
        assert (await model.run(BLANK)).max() == 2.0
        assert model.why_not_ready is None
        assert gpu.closed
        assert model.loaded.backend.kind == "onnx-cpu"


async def test_a_gpu_that_is_lost_and_nothing_else_may_run_it(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    async with in_use(tmp_path, gpu, cpu, "fail") as model:
        gpu.lost = True
        with pytest.raises(RequestError) as raised:
            await model.run(BLANK)
        assert (raised.value.status, raised.value.code) == (503, "model.gpu_lost")
        assert model.why_not_ready is not None
        assert "CUDA_ERROR_LAUNCH_FAILED" in model.why_not_ready


async def test_a_gpu_that_is_lost_and_the_cpu_cannot_run_it(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    async with in_use(tmp_path, gpu, cpu) as model:
        gpu.lost = cpu.lost = True
        for _ in range(2):
            with pytest.raises(RequestError) as raised:
                await model.run(BLANK)
            assert raised.value.code == "model.gpu_lost"
        assert model.why_not_ready is not None


async def test_a_file_that_is_gone_is_told_and_the_one_before_stays(
    tmp_path: Path,
) -> None:
    gpu, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    async with in_use(tmp_path, gpu, cpu) as model:
        (tmp_path / "model.onnx").unlink()
        before = model.loaded
        assert not await model.load()
        assert model.loaded is before
        assert model.why_not_ready is None


async def test_what_nobody_foresaw_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def make() -> Backend:
        raise ValueError("odd")

    model = ModelInUse(
        lambda _: [("onnx-cpu", make)],
        [tmp_path / "model.onnx"],
        on_gpu_loss="fail",
        metrics=MagicMock(),
        changed=lambda _: None,
    )
    assert not await model.load()
    assert model.why_not_ready == "ValueError: odd"
    model.stop()


async def test_a_batch_goes_in_parts_where_the_model_takes_less(tmp_path: Path) -> None:
    gpu = FakeBackend("tensorrt", max_batch=2)
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu")) as model:
        gpu.batches.clear()
        assert len(await model.run(np.repeat(BLANK, 5, axis=0))) == 5
        assert gpu.batches == [2, 2, 1]


@pytest.mark.parametrize(
    ("gpu", "cuda", "words"),
    [
        (GpuFacts(None, None, None, "no libcuda"), None, "this image has no CUDA"),
        (GpuFacts(None, None, None, "no libcuda"), "12.8.0", "no GPU can be used: no libcuda"),
        (
            GpuFacts("Tesla T4", "470.57.02", "11.4"),
            "12.1.1",
            "CUDA 12.1.1 is too new for the driver 470.57.02, which has CUDA 11.4: use an image",
        ),
        # Minor versions go together.
        (GpuFacts("Tesla T4", "450.80.02", "11.0"), "11.8.0", "CUDA 11.8.0 on Tesla T4, driver"),
        (GpuFacts("H200", "580.95.05", "13.0"), "12.8.0", "CUDA 12.8.0 on H200, driver 580.95.05"),
    ],
)
def test_the_first_words_of_the_log(gpu: GpuFacts, cuda: str | None, words: str) -> None:
    assert words in first_words(gpu, cuda)
