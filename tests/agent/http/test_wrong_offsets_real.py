"""Uploads by hand that say they go on at another byte, to the agent's own process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.protocol import tus
from tests.agent.images.layers import diff_id, noise
from tests.agent_process import AgentProcess

pytestmark = pytest.mark.timeout(60)

LAYER = noise(300_000)
FIRST = 100_000
JSON_BODY = '"hint":"'


class ByHand:
    """HTTP as bytes on the agent's socket, a connection for each request."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """The status, and all that was answered."""
        lines = [f"{method} {path} HTTP/1.1", "Host: node", "Connection: close"]
        lines += ["Tus-Resumable: 1.0.0", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(self._agent.sockets["operator"]))
            sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            answer = b""
            while part := sock.recv(65536):
                answer += part
        return int(answer.split(b" ", 2)[1]), answer.decode()

    def begin(self) -> str:
        said = tus.encode_metadata({"diff_id": diff_id(LAYER)})
        status, answer = self.ask(
            "POST", "/v1/uploads", Upload_Length=str(len(LAYER)), Upload_Metadata=said
        )
        assert status == 201, answer
        return next(
            line.split(": ", 1)[1]
            for line in answer.split("\r\n")
            if line.lower().startswith("location: ")
        )

    def append(self, path: str, body: bytes, **offset: str) -> tuple[int, str]:
        kind = {"Content_Type": "application/offset+octet-stream"}
        return self.ask("PATCH", path, body, **kind, **offset)

    def offset(self, path: str) -> int:
        _, answer = self.ask("HEAD", path)
        return int(answer.lower().split("upload-offset: ")[1].split("\r\n")[0])


@pytest.fixture
def agent(short_folder: Path) -> Iterator[AgentProcess]:
    with AgentProcess(short_folder) as made:
        yield made


@pytest.mark.parametrize(
    ("offset", "status", "code"),
    [
        ("0", 409, "upload.offset"),
        ("99999", 409, "upload.offset"),
        ("100001", 409, "upload.offset"),
        ("300000", 409, "upload.offset"),
        ("99999999999999999999999999", 400, "upload.header"),
        ("-1", 400, "upload.header"),
        ("1e5", 400, "upload.header"),
        ("", 400, "upload.header"),
        (None, 400, "upload.header"),
    ],
)
def test_nothing_is_written_and_the_right_one_goes_on(
    agent: AgentProcess, offset: str | None, status: int, code: str
) -> None:
    hand = ByHand(agent)
    path = hand.begin()
    assert hand.append(path, LAYER[:FIRST], Upload_Offset="0")[0] == 204
    (data,) = (agent.folder / "state" / "uploads").glob("*.data")
    assert data.read_bytes() == LAYER[:FIRST]

    said = {} if offset is None else {"Upload_Offset": offset}
    got, answer = hand.append(path, b"x" * 50_000, **said)
    assert (got, f'"code":"{code}"' in answer) == (status, True), answer
    assert JSON_BODY in answer
    if status == 409:
        assert f"upload-offset: {FIRST}\r\n" in answer.lower()
    assert data.read_bytes() == LAYER[:FIRST]
    assert hand.offset(path) == FIRST

    assert hand.append(path, LAYER[FIRST:], Upload_Offset=str(FIRST))[0] == 204
    blob = agent.folder / "state" / "blobs" / diff_id(LAYER)[7:]
    assert blob.read_bytes() == LAYER
