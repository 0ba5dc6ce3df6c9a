"""The detector's image, built for real, and containers of it with a way to ask them."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.detector_made import CLASSES, colour_detector
from tests.real import roots
from tests.real.commands import run
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime
from tests.waiting import wait_until

BASE = "roost-test/debian-python:bookworm"
ROOT = "machine-bookworm"
IMAGES = Path(__file__).parent.parent.parent / "images"
PORT = 8080
_NEWNET = 0x40000000


def base_archive(folder: Path) -> Path:
    """Debian with its Python as a tar, from the folder that debootstrap made."""
    away = ("./proc/*", "./sys/*", "./dev/*", "./var/lib/apt/lists", "./usr/share/doc")
    root = folder / "base.tar"
    run(
        *("tar", "--one-file-system", "-C", str(roots.folder(ROOT)), "-cf", str(root)),
        *(f"--exclude={each}" for each in away),
        ".",
        seconds=120,
    )
    return root


def load_base(engine: DockerEngine) -> None:
    """Import it."""
    root = base_archive(engine.folder)
    engine.docker("import", str(root), BASE, seconds=120)
    root.unlink()


def copied(images: Path, folder: Path) -> Path:
    """A copy to build from, in `folder`."""
    return Path(
        shutil.copytree(images, folder / "images", ignore=shutil.ignore_patterns("__pycache__"))
    )


def build(engine: PrivateRuntime, images: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`roost image build cpu` with this folder's matrix, on this engine, by an agent of its own."""
    return subprocess.run(
        build_command(images, *more),
        env=os.environ | {"DOCKER_HOST": engine.url},
        cwd=IMAGES.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def build_command(images: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "console.cli.main", "image", "build", "cpu"),
        *("--matrix", str(images / "matrix.yaml")),
        *("--base", BASE, "--wheelhouse", str(roots.folder("detector-wheels")), *more),
    ]


@dataclass
class Built:
    """The image, and the copy of images/ that it was built from."""

    engine: PrivateRuntime
    images: Path
    said: str  # by the build
    json: dict[str, Any]  # its --json

    @property
    def image(self) -> dict[str, Any]:
        """As the lock has it."""
        locked: dict[str, Any] = self.json["cpu"]["variant"]["image"]
        return locked


@dataclass
class Answer:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Detector:
    """One container of the image. Nothing of it is published: it is asked at its address."""

    engine: PrivateRuntime
    name: str
    models: Path
    address: str = field(init=False)

    def __post_init__(self) -> None:
        form = "{{.NetworkSettings.IPAddress}}"
        self.address = self.engine.docker("inspect", "--format", form, self.name)

    def connect(self) -> socket.socket:
        """A connection to it, made in the engine's network."""
        return connected(self.engine.enclosure.pid, self.address, PORT)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(self.address, PORT, timeout=30)
        connection.sock = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def ready(self) -> bool:
        """What /readyz says; False where nobody answers."""
        try:
            return self.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self) -> None:
        wait_until(self.ready)

    def detect(self, jpeg: bytes) -> Answer:
        return self.ask("POST", "/v1/detect", jpeg)

    def metric(self, name: str) -> float:
        """The sum of all that begins with `name`."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def log(self) -> list[dict[str, Any]]:
        """Its log: every line is JSON."""
        said = self.engine.docker("logs", self.name)
        return [json.loads(line) for line in said.splitlines()]

    def messages(self) -> list[str]:
        return [line["message"] for line in self.log()]

    def place_model(self, model: bytes, name: str = "detector.onnx") -> None:
        """As whoever updates a model should: whole, by renaming."""
        new = self.models / f".{name}.new"
        new.write_bytes(model)
        new.chmod(0o644)
        new.replace(self.models / name)


def start(
    built: Built,
    name: str,
    models: Path,
    *arguments: str,
    model: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> Detector:
    """A container as it is meant to run: read-only, without rights, not root."""
    models.chmod(0o755)
    said = {"DETECTOR_LABELS": ",".join(CLASSES), "DETECTOR_WATCH_SECONDS": "0.1"}
    variables = [f"--env={key}={value}" for key, value in (said | dict(environment or {})).items()]
    rights = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    detector_model = colour_detector() if model is None else model
    (models / "detector.onnx").write_bytes(detector_model)
    (models / "detector.onnx").chmod(0o644)
    built.engine.docker(
        *("run", "--detach", f"--name={name}", *rights, *variables),
        *(f"--volume={models}:/models:ro", *arguments, built.image["tag"]),
    )
    return Detector(built.engine, name, models)


def connected(pid: int, address: str, port: int) -> socket.socket:
    """A TCP connection from the network of the process `pid`.

    A socket stays in the network that it was made in, so a thread goes there and ends.
    """
    made: list[socket.socket | OSError] = []

    def connect() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/ns/net", "rb") as network:  # noqa: PTH123 - a file descriptor
            if library.setns(network.fileno(), _NEWNET) != 0:
                made.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            made.append(socket.create_connection((address, port), timeout=30))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise found
    return found


def in_client_python(engine: PrivateRuntime, script: str, *arguments: str) -> Sequence[str]:
    """The words that run a script of this folder with the KServe client, in that network."""
    python = roots.folder("detector-client") / "bin" / "python"
    file = Path(__file__).parent / script
    return (*engine.enclosure.entering(), str(python), str(file), *arguments)


def refused(detector: Detector, rest: bytes) -> bytes:
    """What it answers to a request that stops amid its body, until it closes the connection."""
    with detector.connect() as connection:
        connection.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: detector\r\n" + rest)
        said = b""
        while data := _received(connection):
            said += data
        return said


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:  # it closed with bytes of ours unread
        return b""
