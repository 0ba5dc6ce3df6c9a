"""`roost-agent dial-stdio`: for hosts that forbid socket forwarding, and for admins over ssh."""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from pathlib import Path

import click

from agent.cli.options import config_option
from agent.protocol.problems import ProblemError
from agent.rules.service import is_service, start_command

CHUNK_BYTES = 64 * 1024
LINGER_SECONDS = 5.0


@click.command("dial-stdio")
@click.option("--admin", is_flag=True, help="Use the admin socket (root only).")
@click.option("--socket", "path", type=click.Path(path_type=Path), help="Use this socket.")
@config_option
def command(config: Path | None, path: Path | None, *, admin: bool) -> None:
    """Join standard input and output to the agent's socket, until either side ends."""
    from agent.settings import load_settings

    if path is None:
        settings = load_settings(config)
        path = settings.admin_socket if admin else settings.operator_socket
    if path is None:
        raise ProblemError(
            "dial.no_socket",
            "agent.yaml turns that socket off",
            hint="Set operator_socket or admin_socket in agent.yaml.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except OSError as error:
            raise ProblemError(
                "dial.no_agent",
                f"no agent answers at {path}: {error.strerror}",
                params={"path": str(path)},
                hint=f"Start it: {start_command(service=is_service(os.path.exists))}."
                " The admin socket is root's alone.",
            ) from None
        _join(sock)


def _join(sock: socket.socket) -> None:
    """Copy both ways until the agent closes, or LINGER_SECONDS after the end of our input.

    The end of our input is not passed on: the agent's server takes half a connection for none,
    and would drop the answer that is still to come.
    """
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    ends_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.register(stdin, selectors.EVENT_READ)
        while ends_at is None or time.monotonic() < ends_at:
            for key, _ in selector.select(None if ends_at is None else ends_at - time.monotonic()):
                if key.fd == stdin:
                    data = os.read(stdin, CHUNK_BYTES)
                    if data:
                        sock.sendall(data)
                    else:
                        selector.unregister(stdin)
                        ends_at = time.monotonic() + LINGER_SECONDS
                else:
                    data = sock.recv(CHUNK_BYTES)
                    if not data:
                        return
                    _write_all(stdout, data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
