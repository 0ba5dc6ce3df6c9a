"""Uploads to agents that answer early, stop taking bytes, or say nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from console.link.uploads import Upload, UploadClient
from tests.console.serving import Misbehave, misbehaving

LAYER = Layer(diff_id="sha256:" + "a" * 64, size_bytes=1 << 30)
UPLOAD = Upload("/v1/uploads/1", 0)


def head(status: str, *lines: str, length: int = 0) -> bytes:
    rows = [f"HTTP/1.1 {status}", "Roost-Api-Version: 1.0", *lines, f"Content-Length: {length}"]
    return "\r\n".join([*rows, "", ""]).encode()


def problem(status: str, code: str) -> bytes:
    body = msgspec.json.encode(ProblemError(code, "no").problem())
    return head(status, "Content-Type: application/problem+json", length=len(body)) + body


def answering(answer: bytes, *, after: int = 0) -> Misbehave:
    """Answer when so many bytes of the body have come, and take no more."""

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after:
            await reader.readexactly(after)
        writer.write(answer)
        await writer.drain()
        await asyncio.Event().wait()

    return misbehave


class Endless:
    """A body without an end; knows whether it was closed."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.count = 0
        self.fails_after = fails_after

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            if self.count == self.fails_after:
                raise ProblemError("archive.layer_corrupt", "it is damaged")
            self.count += 1
            yield bytes(64 * 1024)


async def refusal(path: Path, misbehave: Misbehave, body: Endless) -> ProblemError:
    async with misbehaving(path, misbehave):
        client = NodeClient(
            "t4", UnixLink("t4", parse_address(f"unix://{path}")), owner="maria", timeout=5
        )
        with pytest.raises(ProblemError) as raised:
            await client.uploads.append(UPLOAD, body.pieces(), size_bytes=LAYER.size_bytes)
        await client.close()
    return raised.value


async def test_an_early_refusal_ends_the_sending(short_folder: Path) -> None:
    body = Endless()
    answer = problem("409 Conflict", "upload.offset")
    found = await refusal(short_folder / "s", answering(answer, after=100_000), body)
    assert found.code == "upload.offset"
    assert body.count < 100


async def test_who_takes_no_more_bytes_is_given_up(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the patience for an answer, which may be long, even begins."""
    monkeypatch.setattr("console.link.uploads.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("console.link.uploads.READ_BYTES_PER_SECOND", 1)
    body = Endless()
    found = await refusal(short_folder / "s", answering(b""), body)
    assert found.code == "link.timeout"


async def test_what_breaks_here_is_told_as_it_is(short_folder: Path) -> None:
    found = await refusal(short_folder / "s", answering(b""), Endless(fails_after=1))
    assert found.code == "archive.layer_corrupt"


async def test_a_cut_amid_the_body(short_folder: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)

    found = await refusal(short_folder / "s", hang_up, Endless())
    assert found.code == "link.unreachable"


async def test_a_cut_amid_the_answer(short_folder: Path) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(problem("409 Conflict", "upload.offset")[:-10])
        await writer.drain()

    found = await refusal(short_folder / "s", half, Endless())
    assert found.code == "link.unreachable"


@pytest.mark.parametrize(
    "answer",
    [
        head("201 Created"),
        head("201 Created", "Location: /v1/uploads/1"),
        head("201 Created", "Location: /v1/uploads/1", "Upload-Offset: many"),
        head("201 Created", "Location: https://elsewhere.example/", "Upload-Offset: 0"),
    ],
)
async def test_an_upload_without_a_place_or_an_offset(short_folder: Path, answer: bytes) -> None:
    path = short_folder / "s"
    async with misbehaving(path, answering(answer)):
        client = NodeClient(
            "t4", UnixLink("t4", parse_address(f"unix://{path}")), owner="maria", timeout=5
        )
        uploads: UploadClient = client.uploads
        with pytest.raises(ProblemError) as raised:
            await uploads.begin(LAYER, "identity")
        await client.close()
    assert raised.value.code == "link.garbage"
