"""A real `roost-agent serve` in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from typing_extensions import Self

BIN = Path(sys.executable).parent
START_SECONDS = 40  # a machine with other suites on it took more than 20


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class AgentProcess:
    """The agent on sockets in `folder`; `settings` go into its agent.yaml.

    `gpus` puts so many stub H200s under it (tests/bench/agent_under_load.py, or another module
    that is given these `arguments` in the stead of their number). `inside` are the words before a
    command that make it run in another network.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        gpus: int = 0,
        module: str = "tests.bench.agent_under_load",
        arguments: Sequence[str] = (),
        inside: Sequence[str] = (),
        program: Path = BIN / "roost-agent",
    ) -> None:
        self.folder = folder
        self.config = folder / "agent.yaml"
        self.sockets = {role: folder / f"{role}.sock" for role in ("operator", "admin", "viewer")}
        self.config.write_text(
            yaml.safe_dump(
                {
                    "name": "under-test",
                    "state": str(folder / "state"),
                    **{f"{role}_socket": str(path) for role, path in self.sockets.items()},
                    # No real runtime of this machine is ever touched.
                    "runtime": f"unix://{folder}/no-runtime.sock",
                    **(settings or {}),
                }
            ),
            encoding="utf-8",
        )
        self._command: list[str | Path] = [program, "serve", "--config", self.config]
        self._environment = dict(os.environ)
        if gpus:
            stub = folder / "stub"
            stub.mkdir(exist_ok=True)
            last = arguments or (str(gpus),)
            self._command = [sys.executable, "-m", module, self.config, stub, *last]
            self._environment["ROOST_NVML_STUB"] = str(stub / "scenario")
        self._command = [*inside, *self._command]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until its first sample is in."""
        self.launch()
        return self.wait_ready()

    def wait_ready(self) -> Self:
        """Wait until the first sample of what was launched is in."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the agent did not start: {self.log()}")
            time.sleep(0.05)
        return self

    def launch(self) -> None:
        """Start it and wait for nothing."""
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stderr=log)

    def client(self, role: str = "operator") -> httpx.Client:
        """A client on the socket of that role."""
        # No TLS on a socket: reading the certificates for it takes 50 ms of CPU each time.
        transport = httpx.HTTPTransport(uds=str(self.sockets[role]), verify=False)
        return httpx.Client(transport=transport, base_url="http://node", timeout=10)

    def get(self, path: str, role: str = "operator") -> Any:
        """The JSON answer to one GET."""
        with self.client(role) as client:
            return json.loads(client.get(path).raise_for_status().content)

    def log(self) -> str:
        file = self.folder / "agent.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def close(self) -> None:
        """End it for sure."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(self.sockets["operator"])) != 0:
                return False
        try:
            with self.client() as client:
                return client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False
