"""The docker SDK's client over one unix socket, with an API version that both sides know."""

from __future__ import annotations

import socket
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.errors import DockerException
from docker.utils import version_lt

# The oldest and newest API that these modules were written against.
OLDEST_API = "1.24"
NEWEST_API = "1.52"


def connect(path: str, *, timeout: int, connections: int) -> tuple[APIClient, dict[str, Any]]:
    """A client, and what the runtime's /version said.

    Args:
        path: of the socket.
        timeout: seconds for every read.
        connections: how many are kept open between calls.

    Raises:
        DockerException, requests.RequestException: nothing usable answers.
    """
    # The SDK's "auto" would speak whatever version the runtime offers, however new.
    client = _client(OLDEST_API, path, timeout, connections)
    try:
        version: Any = client.version(api_version=False)
        if not isinstance(version, dict) or not isinstance(version.get("ApiVersion"), str):
            raise DockerException(f"{path} tells no API version")
        theirs = version["ApiVersion"]
        agreed = NEWEST_API if version_lt(NEWEST_API, theirs) else theirs
        return _client(agreed, path, timeout, connections), version
    finally:
        client.close()


def _client(version: str, path: str, timeout: int, connections: int) -> APIClient:
    client = APIClient(base_url=f"unix://{path}", version=version, timeout=timeout)
    client.mount("http+docker://", _Adapter(path, connections))
    client.trust_env = False  # no proxies or .netrc for a socket of this machine
    return client


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, *args: Any, socket_path: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self._socket_path = socket_path

    def connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self.timeout)
            connected.connect(self._socket_path)
        except BaseException:
            connected.close()
            raise
        self.sock = connected


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _Adapter(requests.adapters.HTTPAdapter):
    """One pool for all requests. The SDK's own adapter has one per URL, the last 25 of them, each
    with an idle connection, and leaves a socket behind when it cannot connect."""

    def __init__(self, path: str, connections: int) -> None:
        self._pool = _Pool("localhost", maxsize=connections, socket_path=path)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        del proxies
        return request.path_url

    def close(self) -> None:
        self._pool.close()
        super().close()
