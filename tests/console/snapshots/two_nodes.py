"""Two nodes: a real agent each, over a Docker Engine of its own, and a person's console."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.real.runtime import PrivateRuntime

SERVES = [
    "sh",
    "-c",
    "mkdir -p /w && echo $$GREETING >/w/index.html && exec httpd -f -p 8000 -h /w",
]


class Node:
    """One of the two."""

    def __init__(self, name: str, engine: PrivateRuntime, agent: AgentProcess) -> None:
        self.name, self.engine, self.agent = name, engine, agent

    def inspect(self, container: str) -> Any:
        return json.loads(self.engine.docker("inspect", "--type=container", container))[0]

    def served(self, container: str) -> str:
        """What it answers to whoever asks it for its page."""
        return self.engine.docker("exec", container, "wget", "-qO-", "http://127.0.0.1:8000/")

    def jobs(self) -> list[dict[str, Any]]:
        """The node's jobs, the newest first."""
        found: list[dict[str, Any]] = self.agent.get("/v1/jobs")
        return found


class TwoNodes:
    """`old`, of which snapshots are taken, and `new`."""

    def __init__(self, home: Path, old: Node, new: Node) -> None:
        self.home, self.old, self.new = home, old, new
        entries = [
            NodeEntry(name=each.name, address=f"unix://{each.agent.sockets['operator']}")
            for each in (old, new)
        ]
        self.fleet = write_fleet(home / "fleet.yaml", entries)

    def roost(self, *arguments: str | Path, given: str = "") -> Done:
        """The command, however it ends."""
        env = {"XDG_DATA_HOME": str(self.home / "data")}
        return roost(self.home, "--fleet", self.fleet, *arguments, given=given, env=env)

    def good(self, *arguments: str | Path) -> Done:
        """The command, which must succeed."""
        done = self.roost(*arguments)
        assert done.code == 0, done
        return done

    def compose(self, **services: dict[str, Any]) -> Path:
        """A Compose file, in JSON: that is YAML, too."""
        for service in services.values():
            service.setdefault("x-roost", {}).setdefault("soak", "0s")
        file = self.home / "compose.yaml"
        names = sorted({each for one in services.values() for each in one.get("secrets", [])})
        secrets = {name: {"external": True} for name in names}
        file.write_text(json.dumps({"name": "app", "secrets": secrets, "services": services}))
        return file


@contextmanager
def node(
    name: str, folder: Path, engine: PrivateRuntime, settings: Mapping[str, Any], *, gpus: int = 1
) -> Iterator[Node]:
    """A real agent over that runtime."""
    folder.mkdir(exist_ok=True)
    own = {"name": name, "runtime": engine.url, "secrets": str(folder / "secrets"), **settings}
    with AgentProcess(folder, own, gpus=gpus) as agent:
        yield Node(name, engine, agent)
