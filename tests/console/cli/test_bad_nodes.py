"""One node that is bad in each way, beside a good one that must not notice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from agent.http.certificate import ensure_certificate, server_context
from agent.protocol.access import Role
from agent.protocol.containers import Container
from agent.protocol.live import LiveContainer, Snapshot
from console.fleet.inventory import NodeEntry
from console.link.token import write_token
from tests.console.cli.commands import Done, roost_beside, write_fleet
from tests.console.serving import (
    EVENTS_HEAD,
    HEAD,
    JSON_HEAD,
    Misbehave,
    ServedAgent,
    chunk,
    event,
    misbehaving,
    tcp_server,
)

pytestmark = pytest.mark.timeout(60)


def saying(*pieces: bytes) -> Misbehave:
    """Answers so, and hangs up."""

    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()

    return misbehave


def never_ending(head: bytes, piece: bytes, pause: float = 0.0) -> Misbehave:
    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return misbehave


CASES: dict[str, tuple[Misbehave, str, str]] = {
    "garbage": (saying(b"SSH-2.0-OpenSSH_9.2\x1b[31m\r\n\r\n"), "link.garbage", "offline"),
    "web server": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"),
        "link.garbage",
        "offline",
    ),
    "hangs up": (saying(), "link.unreachable", "offline"),
    "newer API": (
        saying((HEAD % b"text/event-stream").replace(b"1.0", b"2.3", 1)),
        "link.api_unknown",
        "refused",
    ),
    "not events": (saying(JSON_HEAD, chunk(b"{}")), "link.garbage", "offline"),
    "wrong types": (
        saying(EVENTS_HEAD, event("snapshot", {"at": 1, "sections": {"node": {"": {"name": 3}}}})),
        "link.garbage",
        "offline",
    ),
    "comments for ever": (
        never_ending(EVENTS_HEAD, chunk(b": alive\n\n"), 0.02),
        "link.timeout",
        "offline",
    ),
    "one event for ever": (
        never_ending(EVENTS_HEAD, chunk(b"data: " + b"x" * 65536)),
        "link.too_large",
        "offline",
    ),
    "head for ever": (never_ending(b"HTTP/1.1 200 OK\r\n", b"X", 0.02), "link.timeout", "offline"),
}


async def ls(tmp_path: Path, served: ServedAgent, bad: NodeEntry, *more: str) -> Done:
    """`node ls` of a good node and a bad one."""
    fleet = write_fleet(tmp_path / "fleet.yaml", [bad, served.entry])
    return await roost_beside(tmp_path, "--fleet", fleet, "--timeout", "3", "node", "ls", *more)


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_node_is_told_and_the_other_one_shown(
    case: str, served: ServedAgent, tmp_path: Path, short_folder: Path
) -> None:
    misbehave, code, state = CASES[case]
    path = short_folder / "bad.sock"
    async with misbehaving(path, misbehave):
        bad = NodeEntry(name="bad", address=f"unix://{path}")
        done = await ls(tmp_path, served, bad, "--json")
        as_table = await ls(tmp_path, served, bad)
    assert done.code == 1
    first, second = done.json
    assert (first["problem"]["code"], first["state"], first["live"]) == (code, state, None)
    assert (second["state"], second["problem"]) == ("live", None)
    assert [line.split()[1] for line in as_table.out.splitlines()[1:]] == [state, "live"]
    error, hint = as_table.err.splitlines()
    assert error.startswith("error: bad")
    assert hint.startswith("hint: ")
    assert "\x1b" not in as_table.out + as_table.err + done.out + done.err


async def test_an_unreachable_host(served: ServedAgent, tmp_path: Path) -> None:
    async with tcp_server(saying()) as port:
        pass  # nobody listens on it any more
    address = f"https://127.0.0.1:{port}"
    bad = NodeEntry(name="bad", address=address, fingerprint="sha256:" + "0" * 64)
    done = await ls(tmp_path, served, bad)
    assert done.code == 1
    assert done.err.splitlines()[0] == "error: bad: Connection refused"
    assert "t4" in done.out


async def test_another_certificate(served: ServedAgent, tmp_path: Path, short_folder: Path) -> None:
    files = await asyncio.to_thread(ensure_certificate, short_folder / "other", name="other")
    async with tcp_server(saying(), server_context(*files)) as port:
        bad = await over_https(served, "operator")
        bad.address = f"https://127.0.0.1:{port}"
        done = await ls(tmp_path, served, bad, "--json")
        told = await ls(tmp_path, served, bad)
    assert (done.code, done.json[0]["state"]) == (1, "refused")
    assert done.json[0]["problem"]["code"] == "link.fingerprint"
    assert served.fingerprint in told.err
    assert done.json[1]["state"] == "live"


async def over_https(served: ServedAgent, role: Role | None, lifetime: float = 60) -> NodeEntry:
    file = served.socket.parent / "token"
    if role is not None:
        token = await asyncio.to_thread(
            served.node.tokens.make, role, role, lifetime_seconds=lifetime
        )
        await asyncio.to_thread(write_token, file, token)
    return NodeEntry(
        name="https",
        address=f"https://127.0.0.1:{served.port}",
        fingerprint=served.fingerprint,
        token_file=str(file),
    )


async def test_an_expired_token(served: ServedAgent, tmp_path: Path) -> None:
    bad = await over_https(served, "operator", lifetime=-1)
    done = await ls(tmp_path, served, bad, "--json")
    assert (done.code, done.json[0]["state"]) == (1, "refused")
    assert done.json[0]["problem"]["code"] == "auth.token_expired"
    assert done.json[0]["problem"]["hint"].endswith(f"it belongs into {bad.token_file}")
    assert done.json[1]["state"] == "live"


async def test_a_viewers_token_sees_and_does_not_act(served: ServedAgent, tmp_path: Path) -> None:
    viewer = await over_https(served, "viewer")
    assert (await ls(tmp_path, served, viewer)).code == 0
    fleet = tmp_path / "fleet.yaml"
    for verb in (["stop"], ["exec"]):
        command = ["true"] if verb == ["exec"] else []
        done = await roost_beside(
            tmp_path, "--fleet", fleet, "container", *verb, "https", "detector", *command
        )
        assert (done.code, done.out) == (1, "")
        assert "viewer" in done.err
        assert done.err.splitlines()[1].startswith("hint: ")


async def test_a_missing_token(served: ServedAgent, tmp_path: Path) -> None:
    bad = await over_https(served, None)
    done = await ls(tmp_path, served, bad)
    assert done.code == 1
    assert str(served.socket.parent / "token") in done.err
    assert "t4" in done.out


async def test_names_with_escape_codes_never_come_through_raw(
    served: ServedAgent, tmp_path: Path, short_folder: Path
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31mdetector\u202e"
    async with AsyncExitStack() as stack:
        stream = asyncio.Queue[bytes]()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(EVENTS_HEAD + await stream.get())
            await writer.drain()
            await asyncio.sleep(30)

        path = short_folder / "bad.sock"
        await stack.enter_async_context(misbehaving(path, answer))
        snapshot = msgspec.to_builtins(await good_snapshot(served))
        container = Container(
            id="f" * 64, name=evil, image=evil, image_id="", state="running", created_at=1.0
        )
        live = msgspec.convert(msgspec.to_builtins(container), LiveContainer)
        snapshot["sections"]["containers"] = {container.id: msgspec.to_builtins(live)}
        fleet = write_fleet(
            tmp_path / "fleet.yaml", [NodeEntry(name="bad", address=f"unix://{path}")]
        )
        done = []
        for options in ([], ["--json"]):
            stream.put_nowait(event("snapshot", snapshot))
            done.append(await roost_beside(tmp_path, "--fleet", fleet, "container", "ls", *options))
    assert [each.code for each in done] == [0, 0]
    assert "\\x1b]0;owned\\x07" in done[0].out
    assert done[1].json[0]["container"]["name"] == evil
    assert all(c.isprintable() or c == "\n" for each in done for c in each.out)


async def good_snapshot(served: ServedAgent) -> Snapshot:
    from console.fleet.links import Links

    client = Links({}, owner="test").client(served.entry)
    stream = await client.events()
    try:
        (first, *_) = await stream.read()
        return msgspec.json.decode(first.data, type=Snapshot)
    finally:
        stream.close()
        await client.close()
