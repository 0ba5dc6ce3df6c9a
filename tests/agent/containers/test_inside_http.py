"""HTTP with a container's own loopback: this process stands in for one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from agent.containers.inside_http import InsideHttp, InsideRequest, NoAnswerError, NotSentError
from agent.protocol.containers import Container, ContainerDetails
from tests.agent.doubles import DETECTOR, FixedRuntime

# Entering a network takes root, as do containers.
pytestmark = pytest.mark.real

Serve = Callable[[bytes], Awaitable[int]]
ANSWER = b"HTTP/1.0 200 OK\r\n\r\nqueue 3\n"


class Runtime(FixedRuntime):
    """Its one container's process is this one, and it counts who asks for that."""

    def __init__(self) -> None:
        super().__init__()
        self.pid: int | None = os.getpid()
        self.asked = 0
        self.container = msgspec.structs.replace(DETECTOR, started_at=1.0)

    def containers(self) -> Mapping[str, Container]:
        return {DETECTOR.id: self.container}

    async def details(self, name: str) -> ContainerDetails:
        self.asked += 1
        return ContainerDetails(container=self.container, pid=self.pid)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A port on the loopback that answers this to whatever is asked."""
    servers = []

    async def start(answer: bytes) -> int:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
def procfs(tmp_path: Path) -> Path:
    """With this process under its own number, in the container's control group."""
    process = tmp_path / str(os.getpid())
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "net").symlink_to("/proc/self/ns/net")
    (process / "cgroup").write_text(f"0::/docker/{DETECTOR.id}\n")
    return tmp_path


async def ask(http: InsideHttp, port: int, **headers: str) -> bytes:
    request = InsideRequest(port=port, target="/", agent="test", headers=headers)
    answer = await http.ask(DETECTOR.id, request, timeout_seconds=5.0, limit_bytes=100)
    return answer.body


async def test_an_answer_without_a_length_ends_with_its_connection(
    serve: Serve, procfs: Path
) -> None:
    http = InsideHttp(Runtime(), procfs)
    assert await ask(http, await serve(ANSWER)) == b"queue 3\n"


async def test_the_runtime_is_asked_once_for_each_run(serve: Serve, procfs: Path) -> None:
    runtime = Runtime()
    http, port = InsideHttp(runtime, procfs), await serve(ANSWER)
    for _ in range(3):
        await ask(http, port)
    assert runtime.asked == 1
    runtime.container = msgspec.structs.replace(runtime.container, started_at=2.0)
    await ask(http, port)
    assert runtime.asked == 2
    # Its number is another process' by now.
    (procfs / str(os.getpid()) / "cgroup").write_text("0::/system.slice/other.service\n")
    await ask(http, port)
    assert runtime.asked == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500, "longer than 100 bytes"),
    ],
)
async def test_what_is_no_answer(serve: Serve, procfs: Path, answer: bytes, words: str) -> None:
    with pytest.raises(NoAnswerError, match=words) as caught:
        await ask(InsideHttp(Runtime(), procfs), await serve(answer))
    assert not isinstance(caught.value, NotSentError)


async def test_what_was_not_sent(serve: Serve, procfs: Path) -> None:
    runtime = Runtime()
    http = InsideHttp(runtime, procfs)
    with pytest.raises(NotSentError, match="no HTTP request"):
        await ask(http, await serve(b""), **{"Not a name": "1"})
    runtime.pid = None
    runtime.container = msgspec.structs.replace(runtime.container, started_at=2.0)
    with pytest.raises(NotSentError, match="names no process"):
        await ask(http, 1)
    runtime.pid = 4_194_304  # no kernel gives it
    with pytest.raises(NotSentError, match="cannot be entered: no such file"):
        await ask(http, 1)
