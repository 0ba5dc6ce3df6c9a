"""A corner of this machine for one real part: own processes, mounts, /run, /etc and network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real import keeper
from tests.real.commands import run


class Enclosure:
    """Namespaces and processes that end with the tests, even when those are killed.

    Mounts made inside are not seen outside and the other way round, /run is empty, and what is
    written below /etc and /var/lib stays inside. Processes are those of the machine: a container's
    PID is the same number inside and outside.
    """

    def __init__(self, folder: Path, *, network: bool) -> None:
        """Root only. `folder` is removed at the end; `network` asks for one of its own."""
        self.folder = folder
        self.network = network
        settings = {"folder": str(folder), "seclude": True, "network": network}
        namespaces = ["--mount", "--net"] if network else ["--mount"]
        script = [sys.executable, "-I", "-S", keeper.__file__, json.dumps(settings)]
        self._lock = threading.Lock()
        self._keeper = subprocess.Popen(
            ["unshare", *namespaces, "--", *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests; they end us
        )
        try:
            self._read()
            # What follows writes to /etc: be sure that it is the layer and not the machine's.
            self.enter("test", "-d", "/run/.over/etc/upper")
        except BaseException:
            self._keeper.kill()
            self._keeper.communicate()
            raise

    @property
    def pid(self) -> int:
        """A process inside that lives as long as the enclosure."""
        return self._keeper.pid

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> int:
        """Start a process inside, in a session of its own; its PID."""
        asked = {"do": "start", "argv": list(argv), "log": str(log), "env": dict(env or os.environ)}
        pid: int = self._ask(asked)["pid"]
        return pid

    def wait(self, pid: int, seconds: float = 0) -> int | None:
        """The exit status (minus the signal) of what `start` started; None if it still runs."""
        status: int | None = self._ask({"do": "wait", "pid": pid, "seconds": seconds})["status"]
        return status

    def processes(self) -> list[int]:
        """All that runs inside, the containers' processes too."""
        return keeper.descendants(self.pid)

    def enter(
        self, *argv: str, text: str | None = None, check: bool = True, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, in the folder /, with `text` as its input.

        Raises CommandFailedError when it does not exit with 0, unless `check` is False.
        """
        return run(*self.entering(), *argv, text=text, check=check, seconds=seconds)

    def entering(self) -> tuple[str, ...]:
        """The words before a command that make it run inside."""
        # --root, for without it a command started in a chroot would find itself outside.
        network = ("--net",) if self.network else ()
        return ("nsenter", f"--target={self.pid}", "--mount", "--root", *network, "--")

    def close(self) -> None:
        """End all processes inside and remove the folder. May be called again."""
        if self._keeper.returncode is not None:
            return
        _, errors = self._keeper.communicate()
        if self._keeper.returncode:
            raise RuntimeError(f"keeper ended with {self._keeper.returncode}: {errors}")

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            assert self._keeper.stdin
            self._keeper.stdin.write(json.dumps(asked) + "\n")
            self._keeper.stdin.flush()
            return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._keeper.stdout
        line = self._keeper.stdout.readline()
        if not line:
            assert self._keeper.stderr
            raise RuntimeError(f"no enclosure: {self._keeper.stderr.read()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer
