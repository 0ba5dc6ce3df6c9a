"""gRPC through a real HAProxy, with grpcio's own client and servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from agent.measuring.requests import requests_of
from agent.protocol.arms import bucket_of
from agent.traffic import config, modes
from tests.agent.traffic.processes import Split, split

pytestmark = [pytest.mark.real("haproxy"), pytest.mark.timeout(60)]

SAY, STREAM, FAIL = "/test.Echo/Say", "/test.Echo/Stream", "/test.Echo/Fail"
Context = grpc.aio.ServicerContext[bytes, bytes]


class Service(grpc.GenericRpcHandler):
    """Says its name; streams it as often as it is asked; fails, before it answers or after."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            SAY: grpc.unary_unary_rpc_method_handler(self._say),
            STREAM: grpc.stream_stream_rpc_method_handler(self._stream),
            FAIL: grpc.unary_stream_rpc_method_handler(self._fail),
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)

    async def _say(self, request: bytes, context: Context) -> bytes:
        del context
        return self._name + request

    async def _stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        del context
        async for _ in requests:
            yield self._name

    async def _fail(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        if request == b"late":
            yield self._name
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Split, grpc.aio.Channel]]:
    """Two servers, a proxy in front of them, and one connection of a client to it."""
    servers, ports = [], []
    for name in ("one", "two"):
        server = grpc.aio.server(handlers=[Service(name)])
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        servers.append(server)
        await server.start()
    try:
        async with (
            split(folder, {"stable": ports[0], "candidate": ports[1]}, "grpc") as proxy,
            grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel,
        ):
            yield proxy, channel
    finally:
        for server in servers:
            await server.stop(grace=None)


async def said(channel: grpc.aio.Channel, count: int) -> Counter[bytes]:
    """Who answered so many calls; any that fails raises."""
    say: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SAY)
    return Counter([await say(b"") for _ in range(count)])


async def test_weights_are_of_calls_on_one_connection_and_none_fails(folder: Path) -> None:
    async with served(folder) as (proxy, channel):
        streams: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(STREAM)
        stream = streams()
        await stream.write(b"")
        assert await stream.read() == b"one"
        assert await said(channel, 50) == {b"one": 50}
        for weight in (10, 50, 100):
            asked = asyncio.create_task(said(channel, 300))  # while the weight changes
            await proxy.weigh(weight)
            await asked
            found = await said(channel, 200)
            assert found[b"two"] == pytest.approx(2 * weight, abs=4), weight
        # A stream stays where it is, and keeps the old container from being stopped until it ends.
        assert await proxy.proxy.sessions("stable") == 1
        for _ in range(3):
            await stream.write(b"")
            assert await stream.read() == b"one"
        await stream.done_writing()
        assert await stream.read() == grpc.aio.EOF
        while await proxy.proxy.sessions("stable"):  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.05)
        assert await said(channel, 20) == {b"two": 20}


async def test_what_haproxy_does_not_wait_for_any_more_shows_in_the_latency(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that hangs: its calls end after a second, in the stead of a day."""
    short = modes.DEFAULTS["grpc"].replace("timeout server 24h", "timeout server 1s")
    assert short != modes.DEFAULTS["grpc"]
    monkeypatch.setattr(config, "DEFAULTS", {**modes.DEFAULTS, "grpc": short})
    async with served(folder) as (proxy, channel):
        await proxy.weigh(100)
        await proxy.window()
        streams: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(STREAM)
        with pytest.raises(grpc.aio.AioRpcError):
            await streams().read()  # it says nothing before it is asked
        while not (await proxy.window()).arms["candidate"].requests:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.05)
        figures = (await proxy.window()).arms["candidate"]
    assert (figures.requests, figures.errors, sum(figures.latency.values())) == (1, 1, 1)
    assert min(figures.latency) >= bucket_of(1.0)


async def test_latency_is_known_and_errors_are_not(folder: Path) -> None:
    async with served(folder) as (proxy, channel):
        await proxy.weigh(100)
        await proxy.window()
        await said(channel, 40)
        fail: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(FAIL)
        for when in (b"early", b"late"):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                [each async for each in fail(when)]
            assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        while (await proxy.window()).arms["candidate"].requests < 42:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.05)
        told = requests_of(await proxy.window())
    figures = told.arms["candidate"]
    # The one that failed early has its status in the headers, which the log tells.
    assert (figures.requests, figures.errors, sum(figures.latency.values())) == (42, 1, 41)
    assert list(told.unseen) == ["requests.errors"]
    assert "trailers" in told.unseen["requests.errors"]
