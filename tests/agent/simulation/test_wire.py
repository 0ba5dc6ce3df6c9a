"""Every mood of the wire between a node and its callers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.simulation.wire import ENDLESS_HEAD, GARBAGE, Mood, Wire


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    """With something at `target` that says back what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
            writer.close()

    with TemporaryDirectory(prefix="r", dir="/tmp") as name:
        server = await asyncio.start_unix_server(echo, Path(name) / "target")
        yield Path(name)
        server.close()


@contextlib.asynccontextmanager
async def wired(folder: Path, mood: Mood, **seconds: float) -> AsyncIterator[Wire]:
    wire = Wire(folder / "wire", folder / "target", mood, **seconds)
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()


@contextlib.asynccontextmanager
async def connected(
    wire: Wire,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(wire.path)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_a_clear_wire_carries_both_ways_and_passes_the_end_on(folder: Path) -> None:
    async with wired(folder, "clear") as wire, connected(wire) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""


async def test_offline_refuses_and_leaves_the_socket_file(folder: Path) -> None:
    async with wired(folder, "offline") as wire:
        assert wire.path.is_socket()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_unix_connection(wire.path)
        await wire.misbehave("clear")
        async with connected(wire) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
    assert not wire.path.exists()


@pytest.mark.parametrize("mood", ["offline", "garbage"])
async def test_a_change_of_mood_cuts_what_is_connected(folder: Path, mood: Mood) -> None:
    async with wired(folder, "clear") as wire, connected(wire) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await wire.misbehave(mood)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


async def test_flapping_comes_and_goes(folder: Path) -> None:
    async with wired(folder, "flapping", up_seconds=0.05, down_seconds=0.05) as wire:
        heard = []
        for _ in range(400):
            heard.append(await asyncio.to_thread(answers, wire.path))
            if heard[-3:] == [False, True, True] and heard.count(False) > 3:
                break
            await asyncio.sleep(0.005)
        assert {True, False} <= set(heard)
        async with connected(wire) as (reader, writer):
            writer.write(b"hello")
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(100):
                    pass  # until the next time down cuts it


async def test_slow_delays_and_loses_nothing(folder: Path) -> None:
    async with wired(folder, "slow", latency_seconds=0.05) as wire, connected(wire) as both:
        reader, writer = both
        for number in range(20):
            writer.write(b"%03d " % number)
            await asyncio.sleep(0)
        writer.write_eof()
        assert await reader.read() == b"".join(b"%03d " % number for number in range(20))


async def test_slow_says_nothing_before_its_time(folder: Path) -> None:
    async with wired(folder, "slow", latency_seconds=3600.0) as wire, connected(wire) as both:
        reader, writer = both
        writer.write(b"hello")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(5), 0.2)


async def test_garbage_is_no_http(folder: Path) -> None:
    async with wired(folder, "garbage") as wire, connected(wire) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == GARBAGE


async def test_endless_goes_on(folder: Path) -> None:
    async with wired(folder, "endless") as wire, connected(wire) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(len(ENDLESS_HEAD)) == ENDLESS_HEAD
        assert set(await reader.readexactly(1_000_000)) == {ord("a")}


async def test_silent_never_answers(folder: Path) -> None:
    async with wired(folder, "silent") as wire, connected(wire) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
