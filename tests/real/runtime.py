"""What a private Docker Engine and a private Podman have in common: the interface of the tests."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from tests.real.busybox import IMAGE, write_root
from tests.real.commands import CommandFailedError, run
from tests.real.enclosure import Enclosure

START_SECONDS = 60
KILL_SECONDS = 10
CLEAR_TRIES = 10


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def answers(path: Path) -> bool:
    """Whether a Docker API answers /_ping on this socket."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class PrivateRuntime(ABC):
    """A container runtime in an enclosure, with nothing of it outside its folder.

    `socket` is where its API answers, `folder` holds everything, `data` the images and containers.
    """

    def __init__(self, enclosure: Enclosure, name: str) -> None:
        self.enclosure = enclosure
        self.folder = enclosure.folder
        self.socket = self.folder / "api.sock"
        self.data = self.folder / "data"
        self.pid: int | None = None
        self.name = name
        self._log = self.folder / f"{name}.log"
        kept = {key: text for key, text in os.environ.items() if not key.startswith("DOCKER_")}
        self._environment = kept | {"TMPDIR": str(self.folder)}

    @property
    def url(self) -> str:
        """The address as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the log's end."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} runs already")
        pid = self.enclosure.start(self._command(), log=self._log, env=self._environment)
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.socket):
            status = self.enclosure.wait(pid, 0.02)
            if status is not None or time.monotonic() > deadline:
                said = self.log()[-3000:]
                raise RuntimeError(f"{self.name} did not start (status {status}): {said}")
        self.pid = pid

    def stop(self, seconds: float = 60) -> None:
        """End it with SIGTERM and wait for its end."""
        self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """kill -9: containers run on, without it."""
        self._end(signal.SIGKILL, KILL_SECONDS)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def docker(self, *args: str, text: str | None = None, seconds: float = 60) -> str:
        """The `docker` command's standard output, stripped. Raises CommandFailedError."""
        own = {"DOCKER_HOST": self.url, "DOCKER_CONFIG": str(self.folder / "cli")}
        done = run("docker", *args, text=text, env=self._environment | own, seconds=seconds)
        return done.stdout.strip()

    def enter(
        self, *argv: str, text: str | None = None, check: bool = True, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the runtime's network and mounts, as for a published port."""
        return self.enclosure.enter(*argv, text=text, check=check, seconds=seconds)

    def load_busybox(self) -> str:
        """Import the small test image; its name."""
        root = self.folder / "root.tar"
        write_root(root)
        self._import(root, IMAGE)
        root.unlink()
        return IMAGE

    def clear(self) -> None:
        """Remove all containers, and their anonymous volumes, at once.

        Podman cannot stop one that its restart policy is just starting, and can a moment later.
        """
        for left in reversed(range(CLEAR_TRIES)):
            if not (ids := self.docker("ps", "--all", "--quiet").split()):
                return
            try:
                self.docker("rm", "--force", "--volumes", *ids)
            except CommandFailedError:
                if not left:
                    raise
                time.sleep(0.2)
            else:
                return

    def clear_images(self) -> None:
        """Remove all images but the test image, and the containers first."""
        self.clear()
        line = "{{.Repository}}:{{.Tag}} {{.ID}}"
        shown = self.docker("images", "--all", "--no-trunc", "--format", line).splitlines()
        # Podman writes a registry before the name.
        kept = {each.split()[1] for each in shown if each.split()[0].endswith(IMAGE)}
        for one in {each.split()[1] for each in shown} - kept:
            self.docker("rmi", "--force", one)

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End it and its containers, and remove the folder."""
        self.pid = None
        self.enclosure.close()

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What starts it, after whatever must be written for that."""

    @abstractmethod
    def _import(self, root: Path, image: str) -> None:
        """Make an image of one layer that runs a shell."""

    def _end(self, number: int, seconds: float) -> None:
        if self.pid is None:
            raise RuntimeError(f"{self.name} does not run")
        with contextlib.suppress(ProcessLookupError):  # somebody else may have killed it
            os.kill(self.pid, number)
        if self.enclosure.wait(self.pid, seconds) is None:
            said = self.log()[-3000:]
            raise RuntimeError(f"{self.name} is still there after {seconds} s: {said}")
        self.pid = None
