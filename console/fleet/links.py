"""Makes the client of each node, and holds what links share."""

from __future__ import annotations

import os
import pwd
import shlex
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from console.fleet.inventory import NodeEntry
from console.link.address import Address, admin_address, parse_address

# The rest of console.link is imported with the first client: a cached picture is shown before.
if TYPE_CHECKING:
    import ssl

    from console.link.client import NodeClient
    from console.link.gate import HandshakeGate
    from console.link.link import Link
    from console.link.ssh_host import SshHost


class Links:
    """All nodes of one console go through one of these.

    `timeout` (seconds) is for getting through and for each answer, both; None: 15 s for an
    answer and for https, 30 s for an ssh handshake. `token_folder` is where a relative
    `token_file` starts. `ROOST_SSH` in the environment replaces the command `ssh`.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        owner: str,
        timeout: float | None = None,
        token_folder: Path = Path(),
    ) -> None:
        self._environment = environment
        self._owner = owner
        self._timeout = timeout
        self._token_folder = token_folder
        self._ssh = tuple(shlex.split(environment.get("ROOST_SSH", ""))) or ("ssh",)
        self._gate: HandshakeGate | None = None
        self._folder: Path | None = None
        self._tls: ssl.SSLContext | None = None

    def client(self, entry: NodeEntry, *, admin: bool = False) -> NodeClient:
        """The client of a node. Nothing is opened yet.

        Args:
            entry: the node.
            admin: goes to the admin's socket, over ssh with sudo; over https it is the same.

        Raises:
            ProblemError: `fleet.address`.
        """
        from console.link.client import NodeClient
        from console.link.requests import ANSWER_TIMEOUT_SECONDS

        address = parse_address(entry.address)
        return NodeClient(
            entry.name,
            self._link(entry, admin_address(address) if admin else address, admin=admin),
            owner=self._owner,
            token=self._token(entry, address),
            timeout=self._timeout or ANSWER_TIMEOUT_SECONDS,
        )

    @property
    def tls(self) -> ssl.SSLContext:
        """One for all: each context of its own would cost about a megabyte."""
        if self._tls is None:
            from console.link.https import tls_context

            self._tls = tls_context()
        return self._tls

    def _link(self, entry: NodeEntry, address: Address, *, admin: bool) -> Link:
        if address.kind == "unix":
            from console.link.unix import UnixLink

            return UnixLink(entry.name, address)
        if address.kind == "https":
            return self._https(entry, address)
        return self._ssh_link(entry, address, admin=admin)

    def _https(self, entry: NodeEntry, address: Address) -> Link:
        from console.link.https import CONNECT_TIMEOUT_SECONDS, HttpsLink

        return HttpsLink(
            entry.name,
            address,
            fingerprint=entry.fingerprint,
            context=self.tls,
            timeout=self._timeout or CONNECT_TIMEOUT_SECONDS,
        )

    def _ssh_link(self, entry: NodeEntry, address: Address, *, admin: bool) -> Link:
        from console.link.ssh import SshLink
        from console.link.ssh_host import HANDSHAKE_TIMEOUT_SECONDS

        return SshLink(
            entry.name,
            address,
            folder=self._private_folder,
            gate=self._handshakes(),
            program=self._ssh,
            admin=admin,
            timeout=self._timeout or HANDSHAKE_TIMEOUT_SECONDS,
        )

    def host(self, name: str, address: Address) -> SshHost:
        """The host itself behind an ssh address, for commands there. Nothing is opened yet."""
        from console.link.ssh_host import HANDSHAKE_TIMEOUT_SECONDS, SshHost

        return SshHost(
            name,
            address,
            gate=self._handshakes(),
            program=self._ssh,
            timeout=self._timeout or HANDSHAKE_TIMEOUT_SECONDS,
        )

    def _handshakes(self) -> HandshakeGate:
        from console.link.gate import HandshakeGate

        if self._gate is None:
            self._gate = HandshakeGate()
        return self._gate

    def _private_folder(self) -> Path:
        if self._folder is None:
            from console.link.folder import private_folder, sweep

            self._folder = private_folder(self._environment)
            sweep(self._folder)
        return self._folder

    def _token(self, entry: NodeEntry, address: Address) -> Callable[[], str] | None:
        if address.kind != "https" or entry.token_file is None:
            return None
        from console.link.token import read_token

        file = self._token_folder / Path(entry.token_file).expanduser()
        return lambda: read_token(file, node=entry.name)


def stated_owner() -> str:
    """Who is at the keyboard: the OS user and this machine, never what $USER claims."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:64]
