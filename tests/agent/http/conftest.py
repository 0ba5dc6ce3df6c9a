"""A node over fixed sources, served for real on unix sockets and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agent.http.caller import Listener
from agent.http.certificate import ensure_certificate, fingerprint, server_context
from agent.http.server import Servers
from agent.node import Node
from tests.agent.doubles import make_node


class Served:
    """A served node and clients for each way in."""

    def __init__(self, node: Node, servers: Servers, folder: Path, port: int) -> None:
        self.node, self.servers, self.folder, self.port = node, servers, folder, port
        self.certificate = folder / "tls.crt"

    def client(self, role: str = "operator", *, owner: str = "maria") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self.folder / f"{role}.sock")),
            base_url="http://node",
            headers={b"Roost-Owner": owner.encode()},
        )

    def tls(self, token: str | None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=False,  # noqa: S501  the console pins; this test does not
            headers=headers,
        )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    node = make_node()
    servers = Servers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers.add_unix(folder / "viewer.sock", Listener(node, "unix:view.sock", "viewer"))
        servers.add_unix(folder / "operator.sock", Listener(node, "unix:agent.sock", "operator"))
        servers.add_unix(folder / "admin.sock", Listener(node, "unix:admin.sock", "admin"))
        certificate, key = ensure_certificate(folder, name="t4")
        assert fingerprint(certificate).startswith("sha256:")
        port = servers.add_tls(
            "127.0.0.1:0", Listener(node, "https", None), server_context(certificate, key)
        )
        await node.start()
        await node.ready.wait()
        task = asyncio.create_task(servers.serve())
        await asyncio.sleep(0.05)
        try:
            yield Served(node, servers, folder, port)
        finally:
            servers.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await node.stop()
