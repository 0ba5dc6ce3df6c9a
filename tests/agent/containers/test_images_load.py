"""A load into a runtime that does what no real one does on request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent.containers import images_load
from agent.containers.connection import Connection
from agent.containers.images_load import Chunks
from agent.containers.images_results import LoadedImages
from agent.protocol.problems import ProblemError
from tests.waiting import until

CHUNK = b"x" * 256 * 1024
LOADED = b'{"stream":"Loaded image: app:1\\n"}\r\n'
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Takes one connection after another; what it got of a body is in `got`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.got = b""
        self.over = asyncio.Event()  # the connection ended before its body did

    async def body(self, reader: asyncio.StreamReader) -> None:
        """Read the head and the whole body."""
        assert b"POST /v1.41/images/load?quiet=1 HTTP/1.1" in await reader.readuntil(b"\r\n\r\n")
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                self.got += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            self.over.set()
            raise


def answer(content: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@contextlib.asynccontextmanager
async def serving(server: Server, serve: Serve) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    listening = await asyncio.start_unix_server(one, server.path)
    try:
        yield
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def load(server: Server, chunks: Chunks, size_bytes: int | None = None) -> LoadedImages:
    connection = SimpleNamespace(api_version="1.41", address=f"unix://{server.path}")
    return await images_load.load(
        cast("Connection", connection), chunks, size_bytes=size_bytes, platform=None
    )


@pytest.fixture
def server(short_folder: Path) -> Server:
    return Server(short_folder / "s")


async def outcome(server: Server, serve: Serve, chunks: Chunks) -> ProblemError:
    async with serving(server, serve):
        with pytest.raises(ProblemError) as raised:
            await load(server, chunks)
    return raised.value


def saying(server: Server, content: bytes, status: str = "200 OK") -> Serve:
    """Takes all, then says this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.body(reader)
        writer.write(answer(content, status))
        await writer.drain()

    return serve


async def test_all_bytes_arrive_from_either_kind_of_iterator(server: Server) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b"one", b"", b"two"):
            yield part

    async with serving(server, saying(server, LOADED)):
        assert (await load(server, chunks(), 6)).names == ["app:1"]
        assert (await load(server, iter([b"three"]))).names == ["app:1"]
    assert server.got == b"onetwothree"


async def test_a_plain_iterator_is_read_in_a_thread(server: Server) -> None:
    threads: set[str] = set()

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            threads.add(threading.current_thread().name)
            yield CHUNK

    async with serving(server, saying(server, LOADED)):
        await load(server, chunks())
    assert threads == {"archive"}


async def test_no_more_is_read_than_the_runtime_takes(server: Server) -> None:
    read = 0
    stopped = asyncio.Event()

    def chunks() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield CHUNK

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4 * len(CHUNK))
        stopped.set()
        await asyncio.Event().wait()

    async with serving(server, serve):
        loading = asyncio.create_task(load(server, chunks()))
        await stopped.wait()
        for _ in range(20):
            await asyncio.sleep(0.01)
        # Four were taken; beyond them are the buffers of the socket and of the server's reader.
        assert 4 <= read <= 8
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


async def test_memory_stays_at_a_few_chunks(server: Server) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = 200 * len(CHUNK)
        while left > 0:
            left -= len(await reader.read(len(CHUNK)))
        writer.write(answer(LOADED))
        await writer.drain()

    gc.disable()
    tracemalloc.start()
    try:
        async with serving(server, serve):
            await load(server, (CHUNK[:-1] + b"y" for _ in range(200)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 10 * len(CHUNK)


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (b'{"errorDetail":{"message":"no manifest"},"error":"x"}', "200 OK", "load", "no manifest"),
        (b'{"error":"only this"}', "200 OK", "load", "only this"),
        (LOADED + b'{"stream":"Error unpacking image app:1: gone"}', "200 OK", "load", "gone"),
        (LOADED + b'{"errorDetail":{}}', "200 OK", "load", "without a text"),
        (
            b'{"errorDetail":{"message":"write /x: no space left on device"}}',
            "200 OK",
            "full",
            "/x",
        ),
        (b'{"message":"open: no space left on device"}', "500 Oops", "full", "open"),
        (b'{"message":"it will not"}', "500 Oops", "load", "it will not"),
        (b"", "200 OK", "load", "did not say"),
        (b"garbage", "200 OK", "load", "garbage"),
        (b'{"status":"Loading layer"}', "200 OK", "load", "did not say"),
        (b"[1]", "200 OK", "load", "[1]"),
    ],
)
async def test_anything_but_success_is_a_failure(
    server: Server, content: bytes, status: str, code: str, words: str
) -> None:
    failed = await outcome(server, saying(server, content, status), iter([CHUNK]))
    assert failed.code == {"load": "image.load_failed", "full": "space.full"}[code]
    assert words in failed.detail
    assert failed.hint


async def test_a_refusal_before_the_archive_is_read(server: Server) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"message":"not today"}', "400 No"))
        await writer.drain()

    failed = await outcome(server, serve, iter([CHUNK] * 100))
    assert (failed.code, failed.detail) == ("image.load_failed", "not today")


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{", b"SSH-2.0-x\r\n\r\n"],
    ids=["nothing", "half an answer", "no HTTP"],
)
async def test_a_runtime_that_goes_away(server: Server, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(said)
        await writer.drain()

    failed = await outcome(server, serve, iter([CHUNK] * 100))
    assert failed.code == "runtime.unreachable"


async def test_no_runtime(server: Server) -> None:
    with pytest.raises(ProblemError) as raised:
        await load(server, iter([CHUNK]))
    assert raised.value.code == "runtime.unreachable"


async def test_what_the_archive_raises_comes_out_and_the_runtime_sees_a_cut(
    server: Server,
) -> None:
    def chunks() -> Iterator[bytes]:
        yield CHUNK
        raise OSError(5, "the stick was pulled out")

    async with serving(server, saying(server, LOADED)):
        with pytest.raises(OSError, match="pulled out"):
            await load(server, chunks())
        await server.over.wait()


@pytest.mark.parametrize("size_bytes", [len(CHUNK) - 1, len(CHUNK) + 1])
async def test_another_length_than_was_said(server: Server, size_bytes: int) -> None:
    async with serving(server, saying(server, LOADED)):
        with pytest.raises(ProblemError) as raised:
            await load(server, iter([CHUNK]), size_bytes)
        await server.over.wait()
    assert raised.value.code == "image.load_failed"
    assert raised.value.params == {"sent_bytes": len(CHUNK), "size_bytes": size_bytes}


async def test_cancelling_cuts_the_connection_and_leaves_no_thread_in_the_iterator(
    server: Server,
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def chunks() -> Generator[bytes, None, None]:
        yield CHUNK
        inside.set()
        go_on.wait(8)
        yield CHUNK

    made = chunks()
    async with serving(server, saying(server, LOADED)):
        loading = asyncio.create_task(load(server, made))
        await until(inside.is_set)
        loading.cancel()
        await asyncio.sleep(0.05)
        assert not loading.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await server.over.wait()
    made.close()  # raises while a thread is inside
