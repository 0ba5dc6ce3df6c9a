"""The private sshd lets in who should be let in, and forwards unix sockets."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real import host_state
from tests.real.commands import CommandFailedError
from tests.real.fixtures import SshServerFactory
from tests.real.ssh_server import (
    MEMBER,
    OUTSIDER,
    ROOST_GROUP,
    SHELL_LESS,
    Identity,
    KnownHost,
    SshServer,
)

pytestmark = pytest.mark.real


@contextmanager
def echo_socket(path: Path) -> Iterator[None]:
    """A unix socket that answers one connection with what it got."""

    def answer() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(connection.recv(100))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # nobody may have come
            thread.join()


@contextmanager
def tunnel(
    server: SshServer, near: Path, far: Path, *, fails: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """`ssh -L near:far node 'echo ready; cat'`, up when the block begins."""
    options = ["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
    argv = ["ssh", "-F", str(server.config), *options, "-L", f"{near}:{far}"]
    with subprocess.Popen(
        [*argv, server.alias, "echo ready; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.terminate()


def say_hello(path: Path) -> bytes:
    """What comes back for "hello"; nothing when the connection is ended or reset."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with contextlib.suppress(ConnectionError):
            client.sendall(b"hello")
            return client.recv(100)
    return b""


def test_a_command_runs(ssh_server: SshServer) -> None:
    assert ssh_server.ssh("node", "id -u; cat", text="from here").stdout == "0\nfrom here"


def test_a_jump_host(ssh_server: SshServer) -> None:
    assert ssh_server.ssh("behind", "echo $SSH_CONNECTION").stdout.startswith("127.0.0.1 ")


def test_a_unix_socket_is_forwarded(ssh_server: SshServer, short_folder: Path) -> None:
    near, far = short_folder / "near", short_folder / "far"
    with echo_socket(far), tunnel(ssh_server, near, far):
        assert say_hello(near) == b"hello"


def test_forwarding_can_be_refused(
    ssh_server_factory: SshServerFactory, short_folder: Path
) -> None:
    server = ssh_server_factory({"AllowStreamLocalForwarding": "no"})
    near, far = short_folder / "near", short_folder / "far"
    with echo_socket(far), tunnel(server, near, far) as ssh:
        assert say_hello(near) == b""
        # ssh says "open failed", as for a socket that is not there.
        assert ssh.stderr
        while "open failed" not in (said := ssh.stderr.readline()):
            assert said, "ssh ended without a word"
    assert "refused streamlocal port forward" in server.log()


def test_sessions_can_be_cut(ssh_server: SshServer, short_folder: Path) -> None:
    with tunnel(ssh_server, short_folder / "near", short_folder / "far") as ssh:
        assert ssh_server.drop_connections() >= 1
        assert ssh.wait(10) == 255
    assert ssh_server.ssh("node", "echo again").stdout == "again\n"


def test_accounts(ssh_server: SshServer) -> None:
    def groups(config: Path) -> str:
        return ssh_server.ssh("node", "id -G", config=config).stdout.strip()

    assert groups(ssh_server.client_config(account=MEMBER)) == str(ROOST_GROUP)
    assert groups(ssh_server.client_config(account=OUTSIDER)) == str(OUTSIDER.group)
    with pytest.raises(CommandFailedError, match="not available"):
        groups(ssh_server.client_config(account=SHELL_LESS))


@pytest.mark.parametrize(
    ("identity", "known", "said"),
    [
        ("passphrase", "right", "Permission denied"),
        ("stranger", "right", "Permission denied"),
        ("plain", "nothing", "Host key verification failed"),
        ("plain", "wrong", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
    ],
)
def test_who_is_not_let_in(
    ssh_server: SshServer, identity: Identity, known: KnownHost, said: str
) -> None:
    config = ssh_server.client_config(identity=identity, known=known)
    with pytest.raises(CommandFailedError, match=said) as failed:
        ssh_server.ssh("node", "true", config=config)
    assert failed.value.code == 255


def test_handshakes_can_be_limited(ssh_server_factory: SshServerFactory) -> None:
    server = ssh_server_factory({"MaxStartups": "1"})
    with socket.create_connection((server.host, server.port)) as waiting:
        assert waiting.recv(4) == b"SSH-"
        with pytest.raises(CommandFailedError):
            server.ssh("node", "true")
    assert "drop connection #1" in server.log()


def test_its_accounts_are_nowhere_else(ssh_server_factory: SshServerFactory) -> None:
    before = host_state.snapshot()
    server = ssh_server_factory()
    assert "member:" in server.enclosure.enter("cat", "/etc/passwd").stdout
    assert host_state.snapshot() == before
    server.close()
    assert host_state.snapshot() == before


def test_a_forced_command(ssh_server_factory: SshServerFactory) -> None:
    server = ssh_server_factory({"ForceCommand": "echo only this"})
    assert server.ssh("node", "id").stdout == "only this\n"
