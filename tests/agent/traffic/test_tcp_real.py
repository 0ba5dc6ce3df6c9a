"""TCP through a real HAProxy: connections that stay open while weights change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.measuring.requests import requests_of
from agent.protocol.arms import ArmName
from tests.agent.traffic.processes import Split, split

pytestmark = [pytest.mark.real("haproxy"), pytest.mark.timeout(60)]


NAMES: dict[ArmName, str] = {"stable": "one", "candidate": "two"}


class Connection(NamedTuple):
    """One that stays open. The server says its name first, and then what it is told."""

    name: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echoes(self) -> bool:
        self.writer.write(b"still there?\n")
        return await self.reader.readline() == b"still there?\n"

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def connected(port: int) -> Connection:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return Connection((await reader.readline()).decode().strip(), reader, writer)


async def closed(connections: list[Connection]) -> Counter[str]:
    """How many were whose, once all have echoed a last time."""
    assert all([await each.echoes() for each in connections])
    for each in connections:
        await each.close()
    return Counter(each.name for each in connections)


@asynccontextmanager
async def echoing(name: str) -> AsyncIterator[int]:
    """A server of that name; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name}\n".encode())
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Split]:
    async with (
        echoing("one") as stable,
        echoing("two") as candidate,
        split(folder, {"stable": stable, "candidate": candidate}, "tcp") as proxy,
    ):
        yield proxy


async def test_weights_are_of_new_connections_and_none_breaks(folder: Path) -> None:
    async with served(folder) as proxy:
        old = [await connected(proxy.port) for _ in range(40)]
        assert {each.name for each in old} == {"one"}
        for weight in (10, 50, 100):
            await proxy.weigh(weight)
            found = await closed([await connected(proxy.port) for _ in range(100)])
            assert found["two"] == pytest.approx(weight, abs=2), weight
            assert all([await each.echoes() for each in old])
        assert await proxy.proxy.sessions("stable") == len(old)
        assert await closed(old) == {"one": 40}
        while await proxy.proxy.sessions("stable"):  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.05)


async def test_connections_are_told_and_answers_are_not(folder: Path) -> None:
    async with served(folder) as proxy:
        await proxy.weigh(50)
        await proxy.window()
        there = [await connected(proxy.port) for _ in range(20)]
        told = requests_of(await proxy.window())
        assert (told.arms, told.weight) == ({}, 50)
        assert list(told.unseen) == ["requests"]
        assert "is TCP" in told.why
        found = await closed(there)
        for arm, name in NAMES.items():
            seen = told.connections[arm]
            assert (seen.connections, seen.failed, seen.open) == (found[name], 0, found[name])
        assert sum(found.values()) == 20
