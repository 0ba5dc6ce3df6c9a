"""Sockets that are in use, left behind, or cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.http.patience import ImpatientProtocol
from agent.http.sockets import UnixSocket, listen_tcp
from agent.protocol.problems import ProblemError
from tests.agent.http.conftest import Served


@contextlib.contextmanager
def listening(path: Path) -> Iterator[UnixSocket]:
    unix = UnixSocket(path, mode=0o600, group=None)
    try:
        yield unix
    finally:
        unix.socket.close()
        unix.remove()


def refusal(path: Path) -> str:
    with pytest.raises(ProblemError) as caught:
        UnixSocket(path, mode=0o600, group=None)
    assert caught.value.code == "listen.failed"
    assert caught.value.hint
    return caught.value.detail


def test_a_folder_that_is_missing_is_made(short_folder: Path) -> None:
    path = short_folder / "run" / "roost" / "agent.sock"
    with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_a_socket_left_behind_is_replaced(short_folder: Path) -> None:
    path = short_folder / "agent.sock"
    UnixSocket(path, mode=0o600, group=None).socket.close()
    with listening(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_an_agent_too_busy_to_answer_keeps_its_socket(short_folder: Path) -> None:
    path = short_folder / "agent.sock"
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as callers:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(2):  # a queue of 0 takes one
            caller = callers.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            caller.connect_ex(str(path))
        assert "another agent listens there" in refusal(path)


def test_a_file_that_is_no_socket_is_left_alone(short_folder: Path) -> None:
    path = short_folder / "agent.sock"
    path.write_text("precious", encoding="utf-8")
    assert "no socket" in refusal(path)
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_folder_that_cannot_be_made_is_told(short_folder: Path) -> None:
    (short_folder / "file").write_text("", encoding="utf-8")
    assert "cannot listen on" in refusal(short_folder / "file" / "agent.sock")


def test_another_agents_socket_is_not_taken_away_at_the_end(short_folder: Path) -> None:
    path = short_folder / "agent.sock"
    first = UnixSocket(path, mode=0o600, group=None)
    path.unlink()
    with listening(path):
        first.socket.close()
        first.remove()
        assert path.is_socket()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "", ":"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(ProblemError) as caught:
        listen_tcp(address)
    assert "HOST:PORT" in caught.value.detail


def test_a_port_in_use_is_told() -> None:
    with listen_tcp("127.0.0.1:0") as first:
        address = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(ProblemError) as caught:
            listen_tcp(address)
    assert "in use" in caught.value.detail


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
async def test_a_caller_that_does_not_come_to_the_point_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(ImpatientProtocol, "head_seconds", 0.2)
    reader, writer = await asyncio.open_unix_connection(served.folder / "viewer.sock")
    writer.write(sent)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


async def test_a_second_request_is_not_waited_for_longer_either(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImpatientProtocol, "head_seconds", 0.2)
    reader, writer = await asyncio.open_unix_connection(served.folder / "viewer.sock")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
    with contextlib.suppress(ConnectionResetError):
        assert (await reader.read()).count(b"HTTP/1.1") == 1
    writer.close()


async def test_a_stream_may_go_on_for_longer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImpatientProtocol, "head_seconds", 0.05)
    async with (
        served.client("viewer") as client,
        client.stream("GET", "/v1/events", timeout=None) as answer,
    ):
        chunks = answer.aiter_bytes()
        await anext(chunks)
        await asyncio.sleep(0.3)
        served.node.sampler.latest.host.cpu_percent = 77.0
        served.node._publish()
        while b'"cpu_percent":77' not in await anext(chunks):
            pass  # what the node says beside


async def test_plain_http_on_the_tls_port_is_cut_and_others_go_on(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP/1.1 200" not in await reader.read()
    writer.close()
    async with served.tls(None) as client:
        assert (await client.get("/healthz")).status_code == 200
