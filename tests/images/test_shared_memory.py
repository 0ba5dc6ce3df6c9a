"""Tensors in shared memory: which files are taken, and what becomes of one that is cut off."""

from __future__ import annotations

import gc
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from images.detector.server.backend import Shape
from images.detector.server.problems import RequestError
from images.detector.server.shared_memory import Place, Regions, place
from images.detector.server.v2 import Lying, lying_bytes, read, written

SHAPE = Shape("images", (None, 3, 2, 2), "output0", (None, 7, 4))
DATA = bytes(range(200))


@pytest.fixture
def regions(tmp_path: Path) -> Regions:
    (tmp_path / "frames").write_bytes(DATA)
    return Regions(2, tensor_limit_bytes=150, folder=tmp_path)


def region(key: object = "/frames", offset: object = 0, size: object = 200) -> dict[str, object]:
    return {"key": key, "offset": offset, "byte_size": size}


def refused(error: pytest.ExceptionInfo[RequestError]) -> tuple[int, str]:
    assert error.value.detail
    assert error.value.hint
    return int(error.value.status), error.value.code


async def test_what_lies_there_is_read_and_written(regions: Regions, tmp_path: Path) -> None:
    regions.register("one", region("frames", 20, 100))
    assert regions.status(None) == [
        {"name": "one", "key": "frames", "offset": 20, "byte_size": 100}
    ]
    assert regions.status("one") == regions.status(None)
    for at_once in (True, False):
        assert bytes(await regions.read(Place("one", 4, 96), at_once=at_once)) == DATA[24:120]
    await regions.write(regions.target(Place("one", 90, 10)), memoryview(b"0123456789"))
    assert (tmp_path / "frames").read_bytes() == DATA[:110] + b"0123456789" + DATA[120:]
    regions.unregister("one")
    regions.unregister("one")
    with pytest.raises(RequestError) as raised:
        await regions.read(Place("one", 4, 96))
    assert refused(raised) == (400, "shared_memory.unknown")


async def test_nobody_may_unless_it_is_said() -> None:
    regions = Regions(0, tensor_limit_bytes=100)
    assert not regions.allowed
    for ask in (
        lambda: regions.register("one", region()),
        lambda: regions.unregister(None),
        lambda: regions.status(None),
        lambda: regions.target(Place("one", 0, 1)),
    ):
        with pytest.raises(RequestError) as raised:
            ask()
        assert refused(raised) == (403, "shared_memory.off")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ([], "shared_memory.region"),
        (region(key=1), "shared_memory.region"),
        (region(offset=-1), "shared_memory.region"),
        (region(size=0), "shared_memory.region"),
        (region(size=True), "shared_memory.region"),
        (region(size=2**62), "shared_memory.region"),
        (region(size=201), "shared_memory.size"),
        (region(offset=1), "shared_memory.size"),
        (region(key=""), "shared_memory.key"),
        (region(key="/"), "shared_memory.key"),
        (region(key=".."), "shared_memory.key"),
        (region(key="/../frames"), "shared_memory.key"),
        (region(key="//frames"), "shared_memory.key"),
        (region(key="fra\0mes"), "shared_memory.key"),
        (region(key="x" * 300), "shared_memory.key"),
        (region(key="\ud800"), "shared_memory.key"),
        (region(key="none"), "shared_memory.key"),
        (region(key="link"), "shared_memory.key"),
        (region(key="folder"), "shared_memory.key"),
        (region(key="pipe"), "shared_memory.key"),
        (region(key="null"), "shared_memory.key"),
    ],
)
def test_what_is_no_file_of_that_folder_is_refused(
    regions: Regions, tmp_path: Path, asked: object, code: str
) -> None:
    (tmp_path / "link").symlink_to("frames")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(RequestError) as raised:
        regions.register("one", asked)
    assert refused(raised) == (400, code)
    assert regions.status(None) == []
    del raised
    assert descriptors(tmp_path) == 0


def descriptors(folder: Path) -> int:
    """Open in it: what else this process opens and closes meanwhile is not asked for."""
    gc.collect()
    opened = 0
    for link in Path("/proc/self/fd").iterdir():
        # Those that are closed meanwhile, as the listing's own is, lead nowhere.
        with suppress(FileNotFoundError):
            opened += link.readlink().is_relative_to(folder)
    return opened


def test_names_and_their_number(regions: Regions) -> None:
    regions.register("one", region())
    with pytest.raises(RequestError) as raised:
        regions.register("one", region())
    assert refused(raised) == (409, "shared_memory.registered")
    regions.register("two", region(offset=100, size=100))
    with pytest.raises(RequestError) as raised:
        regions.register("three", region())
    assert refused(raised) == (503, "shared_memory.too_many")
    regions.unregister(None)
    regions.register("three", region())


async def test_a_file_that_was_cut_off_is_told(regions: Regions, tmp_path: Path) -> None:
    """Where it is mapped, reading it would end the process."""
    regions.register("one", region())
    os.truncate(tmp_path / "frames", 50)
    assert bytes(await regions.read(Place("one", 0, 50))) == DATA[:50]
    with pytest.raises(RequestError) as raised:
        await regions.read(Place("one", 0, 51))
    assert refused(raised) == (400, "shared_memory.size")
    with pytest.raises(RequestError) as raised:
        await regions.write(regions.target(Place("one", 45, 10)), memoryview(bytes(10)))
    assert refused(raised) == (400, "shared_memory.size")
    assert (tmp_path / "frames").stat().st_size == 50


async def test_what_does_not_fit_is_told(regions: Regions) -> None:
    regions.register("one", region(size=180))
    for ask, expected in (
        (Place("one", 100, 81), (400, "shared_memory.size")),
        (Place("one", 0, 151), (413, "request.too_large")),
    ):
        with pytest.raises(RequestError) as raised:
            await regions.read(ask)
        assert refused(raised) == expected
    with pytest.raises(RequestError) as raised:
        await regions.write(regions.target(Place("one", 0, 10)), memoryview(bytes(11)))
    assert refused(raised) == (400, "output.size")


async def test_much_is_copied_in_a_thread_unless_nobody_waits(tmp_path: Path) -> None:
    size = 300 * 1024
    (tmp_path / "frames").write_bytes(bytes(size))
    regions = Regions(1, tensor_limit_bytes=size, folder=tmp_path)
    regions.register("one", region(size=size))
    before = threading.active_count()
    for whole in (1000, size):
        at_once = whole == size
        await regions.read(Place("one", 0, whole), at_once=at_once)
        target = regions.target(Place("one", 0, whole))
        await regions.write(target, memoryview(bytes(whole)), at_once=at_once)
    assert threading.active_count() == before
    assert bytes(await regions.read(Place("one", 0, size))) == bytes(size)
    assert threading.active_count() > before


async def test_what_may_only_be_read_is_not_written(
    regions: Regions, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(path: Path, flags: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refusing)
    regions.register("one", region())
    assert bytes(await regions.read(Place("one", 0, 50))) == DATA[:50]
    with pytest.raises(RequestError) as raised:
        regions.target(Place("one", 0, 10))
    assert refused(raised) == (400, "shared_memory.read_only")


async def test_an_output_goes_where_it_was_to_go_when_it_was_asked(
    regions: Regions, tmp_path: Path
) -> None:
    """The region may be another one by the time that it is computed."""
    (tmp_path / "other").write_bytes(DATA)
    regions.register("one", region())
    target = regions.target(Place("one", 0, 10))
    regions.unregister("one")
    regions.register("one", region(key="/other"))
    await regions.write(target, memoryview(b"0123456789"))
    assert (tmp_path / "frames").read_bytes() == b"0123456789" + DATA[10:]
    assert (tmp_path / "other").read_bytes() == DATA
    regions.unregister("one")
    del target
    assert descriptors(tmp_path) == 0


async def test_who_reads_it_ends_with_it(
    regions: Regions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor is closed behind the last who uses it, and then at once."""
    regions.register("one", region())
    reading, goes_on = threading.Event(), threading.Event()
    preadv = os.preadv

    def slow(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        reading.set()
        goes_on.wait()
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", slow)
    read: list[bytes] = []

    def work() -> None:
        from images.detector.server import shared_memory

        known = regions._regions["one"]
        read.append(bytes(shared_memory._read(known.file, 0, 50)))

    thread = threading.Thread(target=work)
    thread.start()
    reading.wait()
    regions.unregister("one")
    assert descriptors(tmp_path) == 1
    goes_on.set()
    thread.join()
    assert read == [DATA[:50]]
    assert descriptors(tmp_path) == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"shared_memory_region": 1, "shared_memory_byte_size": 1},
        {"shared_memory_region": "one"},
        {"shared_memory_region": "one", "shared_memory_byte_size": 0},
        {"shared_memory_region": "one", "shared_memory_byte_size": "1"},
        {
            "shared_memory_region": "one",
            "shared_memory_byte_size": 1,
            "shared_memory_offset": -1,
        },
    ],
)
def test_a_place_that_is_none(parameters: object) -> None:
    with pytest.raises(RequestError) as raised:
        place(parameters)
    assert refused(raised) == (400, "shared_memory.place")


def request(size: int = 48, **more: object) -> bytes:
    lies = {"shared_memory_region": "one", "shared_memory_byte_size": size} | more
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 2, 2], "parameters": lies}
    wanted = {"shared_memory_region": "two", "shared_memory_byte_size": 200}
    outputs = [{"name": "output0", "parameters": wanted}]
    return json.dumps({"inputs": [tensor], "outputs": outputs}).encode()


def test_a_request_says_where_its_tensors_lie() -> None:
    asked = read(request(shared_memory_offset=4), None, SHAPE)
    assert isinstance(asked.images, Lying)
    assert asked.images.place == Place("one", 4, 48)
    values = np.arange(12, dtype=np.float32)
    assert np.array_equal(asked.images.images(lying_bytes(values)), values.reshape(1, 3, 2, 2))
    assert asked.into == Place("two", 0, 200)
    made = np.zeros((1, 7, 4), np.float32)
    said = written(made, asked, model="detector", version="1", output="output0")
    (output,) = json.loads(said.head)["outputs"]
    assert output == {
        "name": "output0",
        "datatype": "FP32",
        "shape": [1, 7, 4],
        "parameters": {
            "shared_memory_region": "two",
            "shared_memory_offset": 0,
            "shared_memory_byte_size": 112,
        },
    }
    assert not said.data


def test_a_tensor_of_another_size_is_told() -> None:
    for body, length in ((request(size=47), None), (request() + bytes(48), str(len(request())))):
        with pytest.raises(RequestError) as raised:
            read(body, length, SHAPE)
        assert refused(raised) == (400, "input.size")
