"""A real HAProxy whose log nobody reads: it waits for nobody, and what is lost is counted."""

from __future__ import annotations

import asyncio
import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.traffic import config
from agent.traffic.proxy import Proxy
from agent.traffic.state import Bind, ProxyState, Slot
from tests.agent.traffic.processes import Processes

pytestmark = [pytest.mark.real("haproxy"), pytest.mark.timeout(60)]


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[int]:
    """A port that answers."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made.server_address[1]
    made.shutdown()
    made.server_close()
    thread.join()


def ask(port: int, count: int) -> int:
    """How many were answered well."""
    well = 0
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        well += connection.getresponse().status == 200
        connection.close()
    return well


async def test_what_is_lost_is_counted(
    folder: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "LOG_BYTES", 16 * 1024)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        bind = Bind(port=free.getsockname()[1], host_ip="127.0.0.1")
    slot = Slot(container="a", address="127.0.0.1", ports={bind.name: server}, weight=100)
    home = Processes(folder)
    proxy = Proxy("web", folder / "web", home, ipv6=False)
    try:
        await proxy.put(lambda _: ProxyState(workload="web", binds=(bind,), slots={"stable": slot}))
        await proxy.look_after()
        await proxy._listener.stop()
        assert await asyncio.to_thread(ask, bind.port, 600) == 600
        await proxy._listener.start()
        while True:
            await asyncio.sleep(1.1)
            await proxy.look_after()
            window = proxy.figures()
            assert window is not None
            if window.lost and window.lost + window.arms["stable"].requests == 600:
                break
        assert window.arms["stable"].requests > 0
    finally:
        await proxy.stop()
        await home.remove("web")
