"""TLS with a pinned certificate.

No certificate authority and no clock is asked: the certificate is the one that was pinned at
first contact, or no byte of a request leaves this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl

from agent.protocol.problems import ProblemError
from console.link.address import Address
from console.link.connection import Connection, CutError
from console.link.deadline import within
from console.link.link import LinkKind
from console.link.problems import unreachable

CONNECT_TIMEOUT_SECONDS = 15.0
# A link that has silently died is noticed within half a minute, also where nothing is sent.
KEEPALIVE_IDLE_SECONDS = 15
KEEPALIVE_EVERY_SECONDS = 5
KEEPALIVE_TRIES = 3
# The kernel would take megabytes that are not on the wire yet: gone in a cut, and sent again.
UNSENT_BYTES = 64 * 1024

FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


def tls_context() -> ssl.SSLContext:
    """The one context that all nodes share. It loads no store of certificate authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Every certificate passes here; `HttpsLink` compares it with the pinned one itself.
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class HttpsLink:
    """`https://host:port`."""

    kind: LinkKind = "https"

    def __init__(
        self,
        node: str,
        address: Address,
        *,
        fingerprint: str | None,
        context: ssl.SSLContext,
        timeout: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        self._node = node
        self._address = address
        self._fingerprint = fingerprint
        self._context = context
        self._timeout = timeout

    async def connect(self) -> Connection:
        """Raises ProblemError `link.fingerprint`, `link.unreachable` or `link.garbage`."""
        if self._fingerprint is None:
            raise ProblemError(
                "link.fingerprint",
                f"{self._node}: no certificate is pinned for {self._address}",
                params={"node": self._node},
                hint=f"Look at it and pin it: roost node add {self._address} --name {self._node}",
            )
        reader, writer = await _open(self._node, self._address, self._context, self._timeout)
        found = _fingerprint(writer)
        if found != self._fingerprint:
            writer.transport.abort()
            raise ProblemError(
                "link.fingerprint",
                f"{self._node} shows {found}, pinned is {self._fingerprint}",
                params={"node": self._node, "found": found, "pinned": self._fingerprint},
                hint=(
                    "Somebody may be in between, or the agent was installed anew. Compare with"
                    " `roost-agent check` on the node, then change it in fleet.yaml."
                ),
            )
        return Connection(reader, writer)

    async def explain(self, cut: CutError) -> ProblemError | None:
        return unreachable(self._node, str(cut), hint=f"Check the agent at {self._address}.")

    async def close(self) -> None:
        pass


async def read_fingerprint(
    address: Address, context: ssl.SSLContext, *, timeout: float = CONNECT_TIMEOUT_SECONDS
) -> str:
    """What the certificate at `address` is: `sha256:<64 hex>`. Nothing is sent but the handshake.

    Raises:
        ProblemError: `link.unreachable` or `link.garbage`.
    """
    _, writer = await _open(str(address), address, context, timeout)
    writer.transport.abort()
    return _fingerprint(writer)


async def _open(
    node: str, address: Address, context: ssl.SSLContext, timeout: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        reader, writer = await within(
            timeout,
            asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname=address.host
            ),
        )
    except ssl.SSLError as error:
        raise ProblemError(
            "link.garbage",
            f"{node}: {address} does not speak TLS as an agent does ({error.reason or error})",
            params={"node": node},
            hint="Check host and port; agents listen for consoles on 7443 unless told otherwise.",
        ) from None
    except (OSError, asyncio.TimeoutError) as error:
        raise unreachable(
            node, error, hint=f"Check that {address} is up and its port is open from here."
        ) from None
    _set_up(writer.get_extra_info("socket"))
    return reader, writer


def _fingerprint(writer: asyncio.StreamWriter) -> str:
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return "sha256:" + hashlib.sha256(certificate or b"").hexdigest()


def _set_up(sock: socket.socket) -> None:
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)
