"""A real Prometheus and a real node_exporter, on ports of this machine, as plain processes."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import Self

from tests.agent_process import free_port

START_SECONDS = 20


class _Server:
    """A process that listens on a port of its own."""

    def __init__(self, folder: Path, name: str, ready: str) -> None:
        self.folder, self.name, self._ready = folder, name, ready
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
            data: bytes = answer.read()
        return data

    def __enter__(self) -> Self:
        log = self.folder / f"{self.name}.log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(self.command(), stdout=file, stderr=file)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"{self.name} does not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)

    def _is_ready(self) -> bool:
        try:
            self.get(self._ready)
        except (urllib.error.URLError, OSError):
            return False
        return True


class NodeExporter(_Server):
    """Its textfile collector alone, over `textfiles`."""

    def __init__(self, folder: Path, textfiles: Path) -> None:
        super().__init__(folder, "node_exporter", "/metrics")
        self._textfiles = textfiles

    def command(self) -> Sequence[str]:
        return [
            "prometheus-node-exporter",
            f"--web.listen-address={self.address}",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={self._textfiles}",
        ]


class Prometheus(_Server):
    """Scrapes what `config` (prometheus.yml as a document) says."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(folder, "prometheus", "/-/ready")
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))

    def command(self) -> Sequence[str]:
        return [
            "prometheus",
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address={self.address}",
        ]

    def ask(self, what: str, **given: str) -> Any:
        """`data` of `/api/v1/WHAT`. Raises urllib.error.HTTPError where it refuses."""
        query = urllib.parse.urlencode(given)
        return json.loads(self.get(f"/api/v1/{what}?{query}"))["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now: one entry for each series."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found
