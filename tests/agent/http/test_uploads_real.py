"""tuspy, a tus client of other people, against the real agent: over TLS, cut, killed, resumed."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from agent.protocol import tus
from tests.agent.images.layers import compressed, diff_id, noise
from tests.agent_process import BIN, AgentProcess, free_port
from tests.waiting import wait_until

MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
# Sends one file by one PATCH; its second run goes on from where the first one was killed.
SENDER = """
import sys
from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage
from tests.waiting import wait_until
url, token, file, diff_id, urls = sys.argv[1:]
client = TusClient(url, headers={"Authorization": f"Bearer {token}"})
uploader = client.uploader(
    file, metadata={"diff_id": diff_id}, store_url=True, url_storage=FileStorage(urls)
)
print(uploader.offset, flush=True)
uploader.upload()
"""

pytestmark = pytest.mark.timeout(120)


class TlsAgent(AgentProcess):
    """The agent with TLS on a port that stays the same over restarts, and a token."""

    def __init__(self, folder: Path, *, before: str | None = None) -> None:
        """`before` is a shell command that runs first, in mounts of its own."""
        self.port = free_port()
        https = {"address": f"127.0.0.1:{self.port}"}
        super().__init__(folder, {"name": "localhost", "https": https})
        if before is not None:
            script = f"{before} && exec {' '.join(str(word) for word in self._command)}"
            self._command = ["unshare", "--mount", "sh", "-c", script]
        self.url = f"https://localhost:{self.port}/v1/uploads"

    def token(self) -> str:
        make: list[str | Path] = [
            BIN / "roost-agent",
            "token",
            "make",
            "tus",
            "--config",
            self.config,
        ]
        made = subprocess.run(make, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    @property
    def state(self) -> Path:
        """The state folder as the agent sees it."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.folder}/state")

    def stored(self, layer: bytes) -> bytes:
        return (self.folder / "state" / "blobs" / diff_id(layer)[7:]).read_bytes()

    def received(self) -> int:
        """How long the data of the only upload is, durable or not."""
        return sum(path.stat().st_size for path in (self.state / "uploads").glob("*.data"))

    def peak_bytes(self, *, anew: bool = False) -> int:
        """The most memory that it ever had, or since the last call that was `anew`."""
        assert self.process is not None
        if anew:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture
def agent(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsAgent]:
    made = TlsAgent(short_folder)
    # tuspy gives its own setting to some of its requests only.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(short_folder / "state" / "tls.crt"))
    with made:
        yield made


def begin(client: httpx.Client, layer: bytes, *, length: int | None = None, **more: str) -> str:
    said = tus.encode_metadata({"diff_id": diff_id(layer), "size": str(len(layer)), **more})
    sized = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = client.post("/v1/uploads", headers={**TUS, **sized, "Upload-Metadata": said})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(client: httpx.Client, url: str, data: bytes, at: int, **headers: str) -> httpx.Response:
    pieces = (data[start : start + MIB] for start in range(0, len(data), MIB))
    sized = {"Content-Length": str(len(data))}
    return client.patch(
        url,
        content=pieces,
        headers={**BYTES, **sized, "Upload-Offset": str(at), **headers},
        timeout=60,
    )


def offset(client: httpx.Client, url: str) -> int:
    return int(client.head(url, headers=TUS).headers["upload-offset"])


def test_tuspy_sends_50_mb_over_tls_with_checksums(agent: TlsAgent) -> None:
    layer = noise(50_000_000)
    client = TusClient(agent.url, headers={"Authorization": f"Bearer {agent.token()}"})
    client.uploader(
        file_stream=io.BytesIO(layer),
        chunk_size=8 * MIB,
        metadata={"diff_id": diff_id(layer)},
        upload_checksum=True,
    ).upload()
    assert agent.stored(layer) == layer


def test_tuspy_is_told_what_an_upload_must_say(agent: TlsAgent) -> None:
    client = TusClient(agent.url, headers={"Authorization": f"Bearer {agent.token()}"})
    with pytest.raises(TusCommunicationError) as raised:
        client.uploader(file_stream=io.BytesIO(b"x")).upload()
    assert raised.value.status_code == 400
    assert b"diff_id" in raised.value.response_content


def test_a_killed_tuspy_goes_on_where_it_was(agent: TlsAgent, tmp_path: Path) -> None:
    layer = noise(96 * MIB)
    file = tmp_path / "layer.tar"
    file.write_bytes(layer)
    command: list[str | Path] = [sys.executable, "-c", SENDER, agent.url, agent.token(), file]
    command += [diff_id(layer), tmp_path / "urls"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: agent.received() > 8 * MIB)
    first.kill()
    first.wait()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 8 * MIB < int(second.stdout) < len(layer)
    assert agent.stored(layer) == layer


def test_a_killed_agent_has_what_it_acknowledged(agent: TlsAgent) -> None:
    layer = noise(60 * MIB)
    finished = threading.Event()

    def slowly() -> Iterator[bytes]:
        for start in range(0, 40 * MIB, MIB):
            yield layer[start : start + MIB]
        finished.wait()
        raise ConnectionError

    with agent.client() as client:
        url = begin(client, layer, length=len(layer))

        def write() -> None:
            headers = {**BYTES, "Upload-Offset": "0", "Content-Length": str(len(layer))}
            with agent.client() as other, pytest.raises(ConnectionError):
                other.patch(url, content=slowly(), headers=headers, timeout=60)

        writing = threading.Thread(target=write)
        writing.start()
        with agent.client("viewer") as viewer:
            wait_until(lambda: offset(viewer, url) > 0 and agent.received() > 39 * MIB)
            acknowledged = offset(viewer, url)
    agent.close()
    finished.set()
    writing.join()
    # As after a power cut: what is behind the acknowledged bytes is anything.
    (data,) = (agent.folder / "state" / "uploads").glob("*.data")
    with data.open("r+b") as file:
        file.seek(acknowledged)
        file.write(os.urandom(10 * MIB))
    with agent, agent.client() as client:
        assert offset(client, url) == acknowledged
        assert send(client, url, layer[acknowledged:], acknowledged).status_code == 204
        assert agent.stored(layer) == layer


def test_a_sender_whose_link_is_dead_gives_way_to_the_next(agent: TlsAgent) -> None:
    layer = noise(2 * MIB)
    with agent.client() as client, socket.socket(socket.AF_UNIX) as dead:
        url = begin(client, layer, length=len(layer))
        head = {**BYTES, "Host": "node", "Upload-Offset": "0", "Content-Length": str(len(layer))}
        lines = [f"PATCH {url} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        dead.connect(str(agent.sockets["operator"]))
        dead.sendall("\r\n".join([*lines, "", ""]).encode() + layer[:1_000_001])
        # It never closes. Bytes that were not yet synced count as soon as it has given way.
        wait_until(lambda: offset(client, url) == 1_000_001)
        assert send(client, url, layer[1_000_001:], 1_000_001).status_code == 204
        assert agent.stored(layer) == layer
        assert b"upload.taken_over" in dead.recv(4096)


def test_an_agent_that_is_stopped_keeps_all_that_came(agent: TlsAgent) -> None:
    layer = noise(9 * MIB)
    stopped = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield layer[:-1]
        stopped.wait()
        raise ConnectionError

    with agent.client() as client:
        url = begin(client, layer, length=len(layer))
        headers = {**BYTES, "Upload-Offset": "0", "Content-Length": str(len(layer))}

        def write() -> None:
            with agent.client() as other, pytest.raises(ConnectionError):
                other.patch(url, content=slowly(), headers=headers, timeout=60)

        writing = threading.Thread(target=write)
        writing.start()
        wait_until(lambda: agent.received() > 8 * MIB)
    assert agent.stop() == 0
    stopped.set()
    writing.join()
    with agent, agent.client() as client:
        assert offset(client, url) == len(layer) - 1
        assert send(client, url, layer[-1:], len(layer) - 1).status_code == 204
        assert agent.stored(layer) == layer


def test_an_upload_that_was_whole_when_the_agent_died_becomes_a_blob(agent: TlsAgent) -> None:
    layer = noise(5 * MIB)
    with agent.client() as client:
        url = begin(client, layer, length=len(layer))
        send(client, url, layer[:-1], 0)
    agent.close()
    # As if it had died between the last byte and the rename.
    (data,) = (agent.folder / "state" / "uploads").glob("*.data")
    with data.open("ab") as file:
        file.write(layer[-1:])
    data.with_suffix(".offset").write_bytes(b"%020d\n" % len(layer))
    (data.parent / "stray.data").write_bytes(b"x")
    with agent, agent.client() as client:
        assert offset(client, url) == len(layer)
        wait_until(lambda: not list(data.parent.glob("*.data")))
        assert agent.stored(layer) == layer


@pytest.mark.parametrize("encoder", ["identity", "zstd"])
def test_300_mb_take_little_memory(agent: TlsAgent, encoder: str) -> None:
    block = noise(MIB)
    layer = block * 300
    encoded = layer if encoder == "identity" else b"".join([compressed(block)] * 300)
    with agent.client() as client:
        warm = begin(client, b"small", length=5)
        send(client, warm, b"small", 0)
        assert agent.process is not None
        before = psutil.Process(agent.process.pid).memory_info().rss
        agent.peak_bytes(anew=True)
        url = begin(client, layer, length=len(encoded), encoder=encoder)
        assert send(client, url, encoded, 0).status_code == 204
        growth = agent.peak_bytes() - before
    assert growth < 30_000_000
    (blob,) = (agent.folder / "state" / "blobs").glob(f"{diff_id(layer)[7:]}*")
    assert hashlib.sha256(blob.read_bytes()).digest() == hashlib.sha256(encoded).digest()


FULL = {
    "tmpfs": "mount -t tmpfs -o size=48m tmpfs {state}",
    "ext4": "truncate -s 56M {disk} && mkfs.ext4 -q {disk} && mount -o loop {disk} {state}",
}


@pytest.mark.real("filesystem")
@pytest.mark.parametrize("kind", FULL)
def test_a_full_disk_stops_an_upload_and_room_lets_it_go_on(short_folder: Path, kind: str) -> None:
    state, disk = short_folder / "state", short_folder / "disk"
    state.mkdir()
    with (
        TlsAgent(short_folder, before=FULL[kind].format(state=state, disk=disk)) as agent,
        agent.client() as client,
    ):
        too_large = noise(60 * MIB, seed=2)
        said = tus.encode_metadata({"diff_id": diff_id(too_large)})
        headers = {**TUS, "Upload-Length": str(len(too_large)), "Upload-Metadata": said}
        answer = client.post("/v1/uploads", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (507, "space.full")

        (agent.state / "others").write_bytes(bytes(24 * MIB))
        layer = noise(30 * MIB)
        packed = compressed(layer)
        url = begin(client, layer, encoder="zstd")
        answer = send(client, url, packed, 0)
        assert (answer.status_code, answer.json()["code"]) == (507, "space.full")
        kept = offset(client, url)
        assert 8 * MIB < kept < len(packed)
        assert agent.received() == kept
        answer = send(client, url, packed[kept:], kept)
        assert (answer.status_code, answer.json()["code"]) == (507, "space.full")
        assert offset(client, url) >= kept
        (agent.state / "others").unlink()
        at = offset(client, url)
        answer = send(client, url, packed[at:], at, **{"Upload-Length": str(len(packed))})
        assert answer.status_code == 204, answer.text
        # Who acknowledges the last byte has verified the layer. It is more than may be kept of such
        # a small disk, so it may be gone again.
        assert offset(client, url) == len(packed)
        left = {each.name for each in (agent.state / "blobs").iterdir()}
        assert left <= {f"{diff_id(layer)[7:]}.{len(layer)}.zst"}
