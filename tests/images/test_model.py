"""Which way to run a model is taken, and what happens when the GPU is lost under it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from images.detector.server.backend import (
    Backend,
    Floats,
    GpuLostError,
    NoRoomError,
    NotUsableError,
    Shape,
)
from images.detector.server.choosing import Way, choose
from images.detector.server.cuda import GpuFacts, first_words
from images.detector.server.model import Loaded, ModelInUse, picture_size, try_out
from images.detector.server.onnx_backend import failure
from images.detector.server.problems import RequestError
from images.detector.server.v2 import check

BLANK = np.zeros((1, 3, 4, 4), np.float32)


class FakeBackend:
    """Gives its own number; `lost` once the GPU is away."""

    def __init__(
        self,
        kind: str,
        number: float = 0.0,
        max_batch: int | None = None,
        side: int | None = 4,
        least_batch: int = 1,
    ) -> None:
        self.kind, self.number, self.max_batch = kind, number, max_batch
        self.least_batch = least_batch
        self.shape = Shape("images", (None, 3, side, side), "output0", (None, 5, 1))
        self.lost = self.closed = False
        self.room: int | None = None
        self.batches: list[int] = []

    def run(self, images: Floats) -> Floats:
        if self.lost:
            raise GpuLostError("cuMemcpyHtoDAsync_v2: CUDA_ERROR_LAUNCH_FAILED (719)")
        if self.room is not None and len(images) > self.room:
            raise NoRoomError("Failed to allocate memory for requested buffer of size 7")
        if self.closed or not self.shape.takes(images.shape) or len(images) < self.least_batch:
            raise AssertionError
        self.batches.append(len(images))
        made = np.full((len(images), 5, 1), self.number, np.float32)
        made[:, 0, 0] += images[:, 0, 0, 0]
        return made

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
    chosen = choose(
        [not_usable("tensorrt", "no engine"), not_usable("onnx-cuda", "x"), way(cpu)], try_out
    )
    assert chosen.backend is cpu
    assert chosen.not_taken == ("tensorrt: no engine", "onnx-cuda: x")
    with pytest.raises(NotUsableError, match="tensorrt: no engine; onnx-cuda: x"):
        choose([not_usable("tensorrt", "no engine"), not_usable("onnx-cuda", "x")], try_out)


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


async def ran(model: ModelInUse, images: Floats = BLANK) -> Floats:
    with model.using() as loaded:
        made, by = await model.run(images, loaded)
        assert by is model.loaded
    return made


async def test_a_gpu_that_is_lost_and_the_cpu_goes_on(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda", 1.0), FakeBackend("onnx-cpu", 2.0)
    async with in_use(tmp_path, gpu, cpu) as model:
        assert (await ran(model)).max() == 1.0
        gpu.lost = True
        assert (await ran(model)).max() == 2.0
        assert model.why_not_ready is None
        await until_closed(gpu)
        assert model.loaded.backend.kind == "onnx-cpu"


async def test_a_gpu_that_is_lost_and_nothing_else_may_run_it(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    async with in_use(tmp_path, gpu, cpu, "fail") as model:
        gpu.lost = True
        with pytest.raises(RequestError) as raised:
            await ran(model)
        assert (raised.value.status, raised.value.code) == (503, "model.gpu_lost")
        assert model.why_not_ready is not None
        assert "CUDA_ERROR_LAUNCH_FAILED" in model.why_not_ready


async def test_a_gpu_that_is_lost_and_the_cpu_cannot_run_it(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    async with in_use(tmp_path, gpu, cpu) as model:
        gpu.lost = cpu.lost = True
        for _ in range(2):
            with pytest.raises(RequestError) as raised:
                await ran(model)
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
    assert model.why_not_ready == "onnx-cpu: ValueError: odd"
    model.stop()


async def test_a_batch_goes_in_parts_where_the_model_takes_less(tmp_path: Path) -> None:
    gpu = FakeBackend("tensorrt", max_batch=2)
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu")) as model:
        gpu.batches.clear()
        assert len(await ran(model, np.repeat(BLANK, 5, axis=0))) == 5
        assert gpu.batches == [2, 2, 1]


async def test_a_batch_is_filled_up_where_the_model_takes_more(tmp_path: Path) -> None:
    """Its size is fixed, for one."""
    gpu = FakeBackend("tensorrt", max_batch=4, least_batch=4)
    images = np.arange(6, dtype=np.float32)[:, None, None, None] + BLANK
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu")) as model:
        gpu.batches.clear()
        assert (await ran(model, images))[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert gpu.batches == [4, 4]
        gpu.room = 3
        assert (await ran(model, images))[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert model.loaded.backend is not gpu


async def test_one_of_which_the_output_has_another_batch_is_not_taken(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("tensorrt"), FakeBackend("onnx-cpu")
    run = gpu.run
    gpu.run = lambda images: np.concatenate([run(images), run(images)])  # type: ignore[method-assign]
    chosen = choose([way(gpu), way(cpu)], try_out)
    assert chosen.not_taken == ("tensorrt: of 1 images it makes 2 outputs",)


@pytest.mark.parametrize("kept", ["lost", "shape", "error"])
def test_a_way_that_fails_when_it_is_tried_out_is_closed_and_the_next_one_is_taken(
    kept: str,
) -> None:
    bad, cpu = FakeBackend("onnx-cuda"), FakeBackend("onnx-cpu")
    if kept == "lost":
        bad.lost = True
    elif kept == "shape":
        bad.run = lambda images: images  # type: ignore[method-assign]  # no YOLO
        bad.shape = Shape("images", (None, 3, 4, 4), "output0", ())
    else:
        bad.room = 0
    chosen = choose([way(bad), way(cpu)], try_out)
    assert chosen.backend is cpu
    assert bad.closed
    assert not cpu.closed
    (why,) = chosen.not_taken
    assert why.startswith("onnx-cuda: it")


async def test_images_for_which_there_is_no_memory_are_no_lost_gpu(tmp_path: Path) -> None:
    gpu = FakeBackend("onnx-cuda", 1.0, side=None)
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu", 2.0)) as model:
        gpu.room = 0
        with pytest.raises(RequestError) as raised:
            await ran(model)  # of another size than pictures have
        assert (raised.value.status, raised.value.code) == (503, "model.no_memory")
        assert model.why_not_ready is None
        gpu.room = 2
        gpu.batches.clear()
        assert (await ran(model, np.repeat(BLANK, 5, axis=0))).shape == (5, 5, 1)
        assert gpu.batches == [2, 1, 2]
        assert model.loaded.backend is gpu


async def test_a_gpu_without_memory_for_one_picture_and_the_cpu_goes_on(tmp_path: Path) -> None:
    gpu = FakeBackend("onnx-cuda", 1.0)
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu", 2.0)) as model:
        gpu.room = 0
        assert (await ran(model)).max() == 2.0
        assert model.why_not_ready is None


async def test_a_gpu_without_memory_for_one_picture_is_not_ready_until_it_has(
    tmp_path: Path,
) -> None:
    gpu = FakeBackend("onnx-cuda", 1.0)
    async with in_use(tmp_path, gpu, FakeBackend("onnx-cpu"), "fail") as model:
        watching = asyncio.create_task(model.watch(0.01))
        gpu.room = 0
        with pytest.raises(RequestError) as raised:
            await ran(model)
        assert raised.value.code == "model.no_memory"
        await asyncio.sleep(0.1)
        assert model.why_not_ready is not None
        assert "no memory for images of the shape [1, 3, 4, 4]" in model.why_not_ready
        gpu.room = None
        while model.why_not_ready:  # noqa: ASYNC110 - another thread tries it
            await asyncio.sleep(0.01)
        watching.cancel()
        assert (await ran(model)).max() == 1.0


async def test_who_uses_a_model_has_it_until_done(tmp_path: Path) -> None:
    backends = [FakeBackend("onnx-cpu", 1.0, side=4), FakeBackend("onnx-cpu", 2.0, side=8)]
    file = tmp_path / "model.onnx"
    file.write_bytes(b"1")
    model = ModelInUse(
        lambda _: [way(backends[0])],
        [file],
        on_gpu_loss="fail",
        metrics=MagicMock(),
        changed=lambda _: None,
    )
    await model.load()
    first = backends.pop(0)
    with model.using() as loaded:
        assert await model.load()
        assert not first.closed
        made, by = await model.run(BLANK, loaded)
        assert (made.max(), by) == (1.0, loaded)
        with model.using() as after:
            assert after.size == (8, 8)
    await until_closed(first)
    assert not backends[0].closed
    model.stop()


async def until_closed(backend: FakeBackend) -> None:
    while not backend.closed:  # noqa: ASYNC110 - another thread closes it
        await asyncio.sleep(0.01)


async def test_files_that_change_have_the_gpu_tried_again(tmp_path: Path) -> None:
    gpu, cpu = FakeBackend("onnx-cuda", 1.0), FakeBackend("onnx-cpu", 2.0)
    async with in_use(tmp_path, gpu, cpu) as model:
        gpu.lost = True
        assert (await ran(model)).max() == 2.0
        await until_closed(gpu)
        gpu.lost = gpu.closed = False
        watching = asyncio.create_task(model.watch(0.01))
        await asyncio.sleep(0)
        (tmp_path / "model.onnx").write_bytes(b"another")
        while model.loaded.backend is not gpu:  # noqa: ASYNC110 - another thread loads it
            await asyncio.sleep(0.01)
        watching.cancel()
        assert (await ran(model)).max() == 1.0


def test_sizes_out_of_the_bounds_are_refused() -> None:
    shape = Shape("images", (None, 3, None, None), "output0", (), (1, 3, 32, 32), (8, 3, 320, 320))
    check((9, 3, 320, 32), shape)  # runs in two parts
    for size in ((1, 3, 352, 320), (1, 3, 31, 32), (1, 4, 32, 32), (0, 3, 32, 32), (3, 32, 32)):
        with pytest.raises(RequestError) as raised:
            check(size, shape)
        assert (raised.value.status, raised.value.code) == (400, "input.shape")
    assert picture_size(shape) == (320, 320)
    assert picture_size(Shape("images", (None, 3, None, 96), "output0", ())) == (640, 96)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 9", NoRoomError),
        ("CUDA failure 2: out of memory ; GPU=0", NoRoomError),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", NoRoomError),
        ("CUDA failure 700: an illegal memory access was encountered", GpuLostError),
        ("Got invalid dimensions for input: images", type(None)),
    ],
)
def test_what_the_cuda_provider_says_is_understood(text: str, kind: type) -> None:
    assert isinstance(failure(RuntimeError(text)), kind)


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
