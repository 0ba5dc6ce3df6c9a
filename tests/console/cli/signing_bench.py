"""A console with keys, an agent that may want signatures, and a real runtime."""

from __future__ import annotations

import subprocess
from pathlib import Path

from console.fleet.inventory import NodeEntry
from tests.agent_process import BIN, AgentProcess
from tests.archives_made import COMPRESS, Made, docker_archive, layer
from tests.console.cli.commands import Done, roost, write_fleet
from tests.real.runtime import PrivateRuntime

BASE = layer("base", 300_000)
ONE, TWO = layer("one", 100_000), layer("two", 90_000)


class Bench:
    """A console, an agent that wants signatures, and a runtime."""

    def __init__(self, folder: Path, agent: AgentProcess, engine: PrivateRuntime) -> None:
        self.folder, self.agent, self.engine = folder, agent, engine
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        self.fleet = write_fleet(folder / "fleet.yaml", [entry])

    def run(self, *arguments: str | Path) -> Done:
        return roost(self.folder, "--fleet", self.fleet, *arguments)

    def good(self, *arguments: str | Path) -> Done:
        done = self.run(*arguments)
        assert done.code == 0, done
        return done

    def archive(self, tag: str, *layers: bytes, compression: str = "none") -> Path:
        file = self.folder / f"{tag.replace(':', '-')}.tar"
        file.write_bytes(COMPRESS[compression](docker_archive([Made(layers, tags=[tag])])))
        return file

    def key(self, name: str) -> Path:
        file = self.folder / name
        self.good("key", "make", "-o", file, "--name", name)
        return file

    def push(self, *files: Path) -> Done:
        return self.run("bundle", "push", *files, "--to", "@dock", "--json")

    def import_on_node(self, path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "roost-agent", "bundle", "import", path, "--config", self.agent.config],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

    def tags(self) -> set[str]:
        shown = self.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        return {tag for tag in shown if tag.startswith(("app:", "other:", "roost.local"))}
