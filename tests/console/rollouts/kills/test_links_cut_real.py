"""Two nodes, each with a network namespace, a dockerd and an agent of its own; one link is cut.

The console is at headquarters, in a namespace too. What it does not hear of goes back by itself
when its lease runs out, and the runner says so.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.workloads import Workload
from console.rollouts.strategy import Amount
from tests.agent.workloads.workload_side import SERVES
from tests.agent_process import AgentProcess
from tests.console.images.site_fleet import SiteFleet, site_fleet, start_all
from tests.console.rollouts.kills.scene import Running, begun
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.real.site_network import HEADQUARTERS
from tests.waiting import wait_until

pytestmark = [pytest.mark.real("network", "docker"), pytest.mark.timeout(180)]

NODES = ("near", "far")
LEASE = 6
MARGIN = 2.0  # beyond its lease, until the runner gives a silent node up


class Fleet:
    """The link of `far` may be pulled and plugged in."""

    def __init__(self, site: SiteFleet, engines: dict[str, DockerEngine]) -> None:
        self.site, self.engines = site, engines
        self.entries = site.entries({})
        self._last = 0

    def rollout(self, **strategy: Any) -> Running:
        """To both of them, with a runner at headquarters."""
        self._last += 1
        value = {"VALUE": str(self._last)}
        web = Workload(name="web", image=IMAGE, command=SERVES, environment=value, restart="always")
        web.soak = 0.2
        running = begun(
            self.site.folder,
            self.entries,
            [web],
            inside=self.site.network.within(HEADQUARTERS),
            margin=MARGIN,
            max_unavailable=Amount(count=2),
            **{"confirm_within": LEASE, **strategy},
        )
        running.start()
        return running

    def value(self, name: str) -> str:
        """What the one container that runs there has."""
        engine = self.engines[name]
        [running] = engine.docker("ps", "--format", "{{.Names}}").splitlines()
        shown = "{{range .Config.Env}}{{println .}}{{end}}"
        found = engine.docker("inspect", "--format", shown, running).splitlines()
        return next(each[6:] for each in found if each.startswith("VALUE="))

    def deployment(self, name: str) -> str:
        return str(self.site.agents[name].get("/v1/workloads/web")["deployment_state"])

    def deploys(self, name: str) -> int:
        jobs = self.site.agents[name].get("/v1/jobs?limit=1000")
        return sum(each["kind"] == "workload.deploy" for each in jobs)

    def made(self, name: str) -> int:
        """Containers, ever."""
        events = ("events", "--since=0", "--until=1s", "--filter=event=create")
        shown = ("--filter=type=container", "--format={{.ID}}")
        return len(self.engines[name].docker(*events, *shown).splitlines())


@pytest.fixture(scope="module")
def fleet(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[Fleet]:
    with ExitStack() as stack:
        engines = {}
        for name in NODES:
            enclosure = Enclosure(make_short_folder(), network=True)
            stack.callback(enclosure.close)
            engine = engines[name] = DockerEngine(enclosure)
            engine.start()
            engine.load_busybox()
        site = stack.enter_context(site_fleet(make_short_folder(), NODES))
        for name, engine in engines.items():
            agent = site.add(name, listens=False, runtime=engine.url)
            program = [sys.executable, "-m", "tests.agent.workloads.dying_agent"]
            agent._command = [*site.network.within(name), *program, agent.config]
        start_all(list(site.agents.values()))
        fleet = Fleet(site, engines)
        assert fleet.rollout().ended().state == "done"
        yield fleet


def agent_of(fleet: Fleet) -> AgentProcess:
    return fleet.site.agents["far"]


def cut_at(fleet: Fleet, point: str, **strategy: Any) -> Running:
    """The link of `far` is cut at a point of its deployment, which goes on then."""
    agent, order = agent_of(fleet), agent_of(fleet).folder / "die"
    order.write_text(f"{point}\nstop", encoding="ascii")
    running = fleet.rollout(**strategy)
    wait_until(lambda: not order.exists())
    fleet.site.network.pull("far")
    assert agent.process is not None
    agent.process.send_signal(signal.SIGCONT)
    return running


@pytest.mark.parametrize("point", ["after preparing", "after canary", "before confirming"])
def test_a_link_that_is_back_in_time(fleet: Fleet, point: str) -> None:
    """The rollout goes on where it was, and nothing is begun again."""
    before = {name: (fleet.deploys(name), fleet.made(name)) for name in NODES}
    running = cut_at(fleet, point, confirm_within=60)
    wait_until(lambda: fleet.deployment("far") in ("canary", "done"))
    fleet.site.network.plug("far")
    rollout = running.ended()
    assert (rollout.state, rollout.counts()) == ("done", {"done": 2})
    assert {fleet.value(name) for name in NODES} == {str(fleet._last)}
    after = {name: (fleet.deploys(name), fleet.made(name)) for name in NODES}
    assert after == {name: (jobs + 1, made + 1) for name, (jobs, made) in before.items()}


def test_a_link_that_is_down_for_longer_than_the_lease(fleet: Fleet) -> None:
    """The node goes back by itself, unheard; the runner gives it up, and takes the wave back."""
    was = {name: fleet.value(name) for name in NODES}
    before = {name: fleet.made(name) for name in NODES}
    running = cut_at(fleet, "after canary")
    wait_until(lambda: fleet.deployment("far") == "reverted")
    assert fleet.value("far") == was["far"]
    wait_until(lambda: running.now().state == "failed")
    rollout = running.now()
    fleet.site.network.plug("far")
    stages = {node.name: node.stage for node in rollout.nodes}
    assert (rollout.state, stages) == ("failed", {"near": "reverted", "far": "lost"})
    [why] = [
        event.why for _, event in running.journal.events(running.rollout) if event.what == "lost"
    ]
    assert why.startswith("not heard of for ")
    running.ended()  # this runner does not stand for nodes that come back: test_lost.py has one
    assert {name: fleet.value(name) for name in NODES} == was
    assert {name: fleet.made(name) for name in NODES} == {name: n + 1 for name, n in before.items()}


def test_a_confirmation_whose_answer_is_lost(fleet: Fleet) -> None:
    """It is confirmed there, and the runner cannot know: `done` counts once that is heard."""
    before = fleet.deploys("far")
    running = cut_at(fleet, "after confirming", confirm_within=60)
    wait_until(lambda: fleet.deployment("far") == "done")
    assert running.now().node("far").stage == "confirming"
    fleet.site.network.plug("far")
    rollout = running.ended()
    assert (rollout.state, rollout.counts()) == ("done", {"done": 2})
    assert (fleet.value("far"), fleet.deploys("far")) == (str(fleet._last), before + 1)
