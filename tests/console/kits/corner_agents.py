"""Agents that were installed from a kit, each in a corner of this machine, reached over https."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from console.fleet.inventory import NodeEntry
from tests.agent_process import free_port
from tests.real.enclosure import Enclosure

WAIT_SECONDS = 60.0
# The installer puts something into each; the machine's own stay as they are.
_OWN = ("/opt", "/usr/local/bin")
_AGENT = "/opt/roost/current/bin/roost-agent"


class CornerAgent:
    """One node: its own files, the machine's network, and no runtime."""

    def __init__(self, name: str, folder: Path, kit: Path) -> None:
        folder.mkdir()
        self.name, self.corner = name, Enclosure(folder, network=False)
        self.log = folder.with_name(f"{name}.log")
        self.port = free_port()
        for place in _OWN:
            self.corner.enter("mount", "-t", "tmpfs", "tmpfs", place)
        self.corner.enter("mkdir", "-p", "/etc/roost", "/run/roost")
        settings = {"name": name, "https": {"address": f"127.0.0.1:{self.port}"}}
        self.corner.enter("tee", "/etc/roost/agent.yaml", text=json.dumps(settings))
        self.corner.enter(sys.executable, str(kit), "install", seconds=120)
        self.pid = self.corner.start(["/opt/roost/start", "serve"], log=self.log)
        self.token = self.corner.enter(_AGENT, "token", "make", "boss", "--role", "admin").stdout

    def entry(self, folder: Path) -> NodeEntry:
        """As fleet.yaml has it, its token beside that."""
        token = folder / f"{self.name}.token"
        token.write_text(self.token)
        token.chmod(0o600)
        return NodeEntry(
            name=self.name,
            address=f"https://127.0.0.1:{self.port}",
            fingerprint=self._fingerprint(),
            token_file=str(token),
        )

    @property
    def current(self) -> str:
        return self.corner.enter("readlink", "/opt/roost/current").stdout.strip()

    def _fingerprint(self) -> str:
        """Once the agent has made its certificate."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"sha256:[0-9a-f]{64}", self.log.read_text())
            if found:
                return found[0]
            time.sleep(0.2)
        raise AssertionError(self.log.read_text())


class CornerConsole:
    """`roost` with those as its fleet."""

    def __init__(self, folder: Path, agents: list[CornerAgent]) -> None:
        self.folder, self.agents = folder, agents
        nodes = [
            {
                "name": entry.name,
                "labels": {"site": "x"},
                "address": entry.address,
                "fingerprint": entry.fingerprint,
                "token_file": entry.token_file,
            }
            for entry in (each.entry(folder) for each in agents)
        ]
        fleet = folder / "fleet.yaml"
        fleet.write_text(json.dumps({"nodes": nodes}))
        self._environment = os.environ | {
            "ROOST_FLEET": str(fleet),
            "ROOST_STATE": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli.main", *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self._environment,
        )
