"""Real agents, each in a network namespace of its own, and `roost` behind a slow link."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agent.http.certificate import fingerprint
from console.fleet.inventory import NodeEntry
from tests.agent_process import BIN, AgentProcess
from tests.console.cli.commands import ROOST, write_fleet
from tests.real.commands import run
from tests.real.enclosure import Enclosure
from tests.real.site_network import HEADQUARTERS, SiteNetwork

ROOT = Path(__file__).parents[3]


class SiteFleet:
    """Agents of one site. `agents` may be killed; `network` counts, and may be cut."""

    def __init__(self, folder: Path, network: SiteNetwork) -> None:
        self.folder, self.network = folder, network
        self.agents: dict[str, AgentProcess] = {}
        self._fleet = folder / "fleet.yaml"

    def add(self, name: str, *, listens: bool, runtime: str | None = None) -> AgentProcess:
        """An agent on that host, not started; `runtime` None: one in memory."""
        folder = self.folder / name
        folder.mkdir()
        settings = {
            "name": name,
            "https": {"address": f"{self.network.wan(name)}:7443"},
            **({"site_listen": f"{self.network.lan(name)}:7444"} if listens else {}),
            **({"runtime": runtime} if runtime else {}),
        }
        agent = AgentProcess(folder, settings)
        program: list[str | Path] = [BIN / "roost-agent", "serve", "--config", agent.config]
        if runtime is None:
            program = [sys.executable, "-m", "tests.agent.site.memory_agent", agent.config]
        agent._command = [*self.network.within(name), *program]
        agent._environment["PYTHONPATH"] = str(ROOT)
        self.agents[name] = agent
        return agent

    def write(self, labels: dict[str, dict[str, str]]) -> None:
        """Its fleet.yaml."""
        write_fleet(self._fleet, self.entries(labels))

    def entries(self, labels: dict[str, dict[str, str]]) -> list[NodeEntry]:
        """Its nodes, with a token for each agent and its certificate."""
        entries = []
        for name, agent in self.agents.items():
            make = ("token", "make", "console", "--role", "operator", "--config", str(agent.config))
            said = run(str(BIN / "roost-agent"), *make).stdout
            token = agent.folder / "token"
            token.write_text(said.strip().splitlines()[-1].split()[-1], encoding="utf-8")
            token.chmod(0o600)
            entries.append(
                NodeEntry(
                    name=name,
                    address=f"https://{self.network.wan(name)}:7443",
                    labels=labels.get(name, {}),
                    fingerprint=fingerprint(agent.folder / "state" / "tls.crt"),
                    token_file=str(token),
                )
            )
        return entries

    def words(self, *arguments: str | Path) -> list[str]:
        """`roost` at headquarters, as a command."""
        home = self.folder / "home"
        own = [f"HOME={home}", f"XDG_CACHE_HOME={home}/cache", f"XDG_CONFIG_HOME={home}/config"]
        said = [str(each) for each in arguments]
        return ["env", *own, str(ROOST), "--fleet", str(self._fleet), *said]

    def push(self, archive: Path, to: str, *more: str) -> list[dict[str, Any]]:
        """What `roost image push --json` says of each node."""
        words = self.words("image", "push", archive, "--to", to, "--json", *more)
        said = self.network.run(HEADQUARTERS, *words, check=False, seconds=240)
        records: list[dict[str, Any]] = json.loads(said)
        return records

    def close(self) -> None:
        """End its agents."""
        for agent in self.agents.values():
            agent.close()

    def holds(self, name: str, diff_ids: Sequence[str]) -> bool:
        """Whether these layers lie in the agent's store."""
        stored = {path.name[:64] for path in (self.folder / name / "state" / "blobs").iterdir()}
        return all(each.removeprefix("sha256:") in stored for each in diff_ids)


@contextmanager
def site_fleet(folder: Path, hosts: Sequence[str], *, mbit: int = 40) -> Iterator[SiteFleet]:
    """A network for these hosts; what is added to the fleet ends with it."""
    with ExitStack() as stack:
        enclosure = Enclosure(folder / "network", network=True)
        stack.callback(enclosure.close)
        fleet = SiteFleet(folder, SiteNetwork(enclosure, hosts, mbit=mbit))
        stack.callback(fleet.close)
        yield fleet


def start_all(agents: Sequence[AgentProcess]) -> None:
    """Start them two by two: all at once, each would be slow to be up."""
    for first in range(0, len(agents), 2):
        for agent in agents[first : first + 2]:
            agent.launch()
        for agent in agents[first : first + 2]:
            agent.wait_ready()
