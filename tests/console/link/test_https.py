"""TLS with a pinned certificate and a bearer token."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from agent.http.certificate import ensure_certificate, server_context
from agent.protocol.access import Role
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.https import read_fingerprint, tls_context
from console.link.token import read_token, write_token
from tests.console.serving import ServedAgent, tcp_server


async def entry_of(served: ServedAgent, role: Role | None) -> NodeEntry:
    """An entry whose token carries `role`."""
    file = served.socket.parent / "token"
    if role is not None:
        token = await asyncio.to_thread(served.node.tokens.make, role, role)
        await asyncio.to_thread(write_token, file, token)
    return NodeEntry(
        name="t4",
        address=f"https://127.0.0.1:{served.port}",
        fingerprint=served.fingerprint,
        token_file=str(file),
    )


def client_of(entry: NodeEntry) -> NodeClient:
    return Links({}, owner="maria@pc", timeout=5).client(entry)


async def problem_of(client: NodeClient) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await client.node()
    await client.close()
    assert caught.value.hint
    return caught.value


async def test_a_pinned_node_with_a_token(served: ServedAgent) -> None:
    client = client_of(await entry_of(served, "operator"))
    assert (await client.node()).agent.role == "operator"
    await client.act("detector", "restart")
    (record,) = await client.audit()
    assert (record.owner, record.proof) == ("operator", "token")
    stream = await client.events()
    assert (await stream.read())[0].name == "snapshot"
    stream.close()
    await client.close()


async def test_the_fingerprint_at_first_contact(served: ServedAgent) -> None:
    address = parse_address(f"https://127.0.0.1:{served.port}")
    assert await read_fingerprint(address, tls_context()) == served.fingerprint


async def test_another_certificate_gets_not_one_byte(
    served: ServedAgent, short_folder: Path
) -> None:
    """Neither the request nor the token leaves this machine."""
    received: list[bytes] = []
    ended = asyncio.Event()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            received.append(await reader.read())
        finally:
            ended.set()

    files = await asyncio.to_thread(ensure_certificate, short_folder / "other", name="other")
    context = server_context(*files)
    entry = await entry_of(served, "operator")
    async with tcp_server(take, context) as port:
        entry.address = f"https://127.0.0.1:{port}"
        problem = await problem_of(client_of(entry))
        await ended.wait()
    assert problem.code == "link.fingerprint"
    assert served.fingerprint in problem.detail
    assert b"".join(received) == b""


async def test_nothing_is_trusted_without_a_pin(served: ServedAgent) -> None:
    entry = await entry_of(served, "operator")
    entry.fingerprint = None
    problem = await problem_of(client_of(entry))
    assert (problem.code, "roost node add" in (problem.hint or "")) == ("link.fingerprint", True)


def test_a_node_costs_no_store_of_authorities() -> None:
    links = Links({}, owner="maria")
    assert links.tls is links.tls
    assert links.tls.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    assert links.tls.verify_mode is ssl.CERT_NONE  # the pin is checked instead, whatever the clock


async def test_a_viewers_token_may_not_act(served: ServedAgent) -> None:
    client = client_of(await entry_of(served, "viewer"))
    with pytest.raises(ProblemError) as caught:
        await client.act("detector", "stop")
    assert caught.value.code == "auth.role"
    await client.close()


async def test_an_expired_token(served: ServedAgent) -> None:
    entry = await entry_of(served, None)
    token = await asyncio.to_thread(served.node.tokens.make, "old", "operator", lifetime_seconds=-1)
    await asyncio.to_thread(write_token, Path(entry.token_file or ""), token)
    assert (await problem_of(client_of(entry))).code == "auth.token_expired"


async def test_a_token_that_is_not_known(served: ServedAgent) -> None:
    entry = await entry_of(served, None)
    await asyncio.to_thread(write_token, Path(entry.token_file or ""), "roost_nonsense")
    assert (await problem_of(client_of(entry))).code == "auth.token_unknown"


async def test_no_token(served: ServedAgent) -> None:
    entry = await entry_of(served, None)
    assert (await problem_of(client_of(entry))).code == "link.token_missing"
    entry.token_file = None
    assert (await problem_of(client_of(entry))).code == "auth.missing"


async def test_a_token_that_others_can_read_is_not_sent(served: ServedAgent) -> None:
    entry = await entry_of(served, "operator")
    os.chmod(entry.token_file or "", 0o640)  # noqa: PTH101
    problem = await problem_of(client_of(entry))
    assert problem.code == "link.token_missing"
    assert "0640" in problem.detail
    assert "chmod 600" in (problem.hint or "")


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"x" * 5000, b"caf\xc3\xa9"])
def test_a_file_that_holds_no_token(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ProblemError) as caught:
        read_token(file, node="t4")
    assert caught.value.code == "link.token_missing"


def test_a_token_is_kept_private(tmp_path: Path) -> None:
    file = tmp_path / "tokens" / "t4"
    before = os.umask(0)
    try:
        write_token(file, "roost_secret")
    finally:
        os.umask(before)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_token(file, node="t4") == "roost_secret"
    write_token(file, "roost_other")
    assert read_token(file, node="t4") == "roost_other"


async def test_plaintext_on_the_port(served: ServedAgent) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()

    entry = await entry_of(served, "operator")
    async with tcp_server(talk) as port:
        entry.address = f"https://127.0.0.1:{port}"
        problem = await problem_of(client_of(entry))
    assert problem.code == "link.garbage"


async def test_a_port_where_nobody_listens(served: ServedAgent) -> None:
    entry = await entry_of(served, "operator")
    entry.address = "https://127.0.0.1:1"
    problem = await problem_of(client_of(entry))
    assert problem.code == "link.unreachable"
    assert "refused" in problem.detail


async def test_a_handshake_that_never_comes(served: ServedAgent) -> None:
    async def sit(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    entry = await entry_of(served, "operator")
    async with tcp_server(sit) as port:
        entry.address = f"https://127.0.0.1:{port}"
        problem = await problem_of(Links({}, owner="maria", timeout=0.3).client(entry))
    assert problem.code == "link.unreachable"
