"""A node with a real agent, dockerd and HAProxy under a steady load, and a real runner.

All of them may be killed; what is asserted after each kill is here, too.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from agent.protocol.deployments import AT_REST, ApplyRequest
from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from console.rollouts.judging.analysis import Analysis
from console.rollouts.late import MARGIN_SECONDS
from console.rollouts.planning import plan_rollout
from console.rollouts.record import ENDED, Rollout
from console.rollouts.strategy import Strategy
from tests.agent.traffic.weighted import serving
from tests.agent_process import AgentProcess
from tests.console.rollouts.kills.dying_runner import NODES
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.waiting import wait_until

ROOT = Path(__file__).parents[4]
PROXY = "roost-traffic-web"
RATE = 40
WEIGHTS = (30, 100)
Way = Literal["calm", "stands"]
RUNNER = "tests.console.rollouts.kills.dying_runner"


S = TypeVar("S", bound="Scene")


class Running:
    """One rollout and whoever steers it."""

    def __init__(
        self, journal: Journal, rollout: str, *, inside: Sequence[str], margin: float
    ) -> None:
        """`inside`: the words before a command that make it run where the console is."""
        self.journal, self.rollout = journal, rollout
        self._inside, self._margin = inside, margin
        self.die = journal.folder / "die"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *ways: Way) -> None:
        """Its runner, as a supervisor starts it again; `ways` as `dying_runner` has them."""
        arguments = [str(self.journal.folder), self.rollout, str(self._margin), *ways]
        words = [*self._inside, "env", f"PYTHONPATH={ROOT}", sys.executable, "-m", RUNNER]
        with (self.journal.folder / "runner.log").open("ab") as log:
            self.process = subprocess.Popen([*words, *arguments], stderr=log)

    def now(self) -> Rollout:
        return self.journal.load(self.rollout)

    def said(self) -> list[str]:
        """All that happened, oldest first."""
        return [event.what for _, event in self.journal.events(self.rollout)]

    def ended(self) -> Rollout:
        """When its runner has ended by itself."""
        assert self.process is not None
        status = self.process.wait()
        log = (self.journal.folder / "runner.log").read_text()
        assert (status, self.now().state in ENDED) == (0, True), log
        return self.now()

    def kill(self) -> None:
        """kill -9; it may have ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Scene:
    """What each case finds is what the one before left: a workload that answers at its port."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine, self._folder = engine, folder
        settings = {"runtime": engine.url, "traffic": {"image": gateway_image.IMAGE}}
        inside = (*engine.enclosure.entering(), "env", f"PYTHONPATH={ROOT}")
        module = "tests.agent.workloads.dying_agent"
        # The proxies' ports belong to the network of dockerd.
        self.agent = AgentProcess(folder, settings, gpus=1, module=module, inside=inside)
        self.die = folder / "die"
        self.version = ""
        self._versions = (f"v{number}" for number in itertools.count(1))
        self._created: dict[str, str] = {}  # names of all containers that were ever made, by id

    def settle(self) -> None:
        """All of it runs, and the workload is at rest behind its proxy."""
        self.die.unlink(missing_ok=True)
        if self.engine.pid is None:
            self.engine.start()
        self.start_agent()
        wait_until(lambda: all(each["deployment_state"] in AT_REST for each in self._workloads()))
        if not self.version or self.version != self.answer():
            self.version = self.next_version()
            request = ApplyRequest(release=self.version, workloads=[self.workload(self.version)])
            with self.agent.client() as client:
                answer = client.post("/v1/workloads", json=msgspec.to_builtins(request))
                assert answer.is_success, answer.text
            job = f"/v1/jobs/{answer.json()['id']}"
            wait_until(lambda: self.agent.get(job)["state"] not in ("queued", "running"))
            assert self.agent.get(job)["state"] == "succeeded", self.agent.log()

    def start_agent(self) -> None:
        """If it does not run. However busy the machine is: the test's own time-out is the limit."""
        if self.agent.process is None or self.agent.process.poll() is not None:
            self.agent.launch()
        while not self.agent._ready():
            assert self.agent.process is not None
            assert self.agent.process.poll() is None, self.agent.log()
            time.sleep(0.1)

    def next_version(self) -> str:
        """One that never ran."""
        return next(self._versions)

    def workload(self, version: str, strategy: str = "weighted", **more: Any) -> Any:
        """One that is there again whatever restarts."""
        given = {"restart": "always", "soak": 0.2, **more}
        return serving(version, strategy=strategy, **given)

    def status(self) -> Any:
        return self.agent.get("/v1/workloads/web")

    def deployment(self) -> Any:
        """The newest one."""
        return self.agent.get(f"/v1/deployments/{self.status()['deployment']}")

    def rollout(self, *workloads: Any, **strategy: Any) -> Running:
        """One that was started, without a runner yet."""
        entry = NodeEntry(name="dock", address=f"unix://{self.agent.sockets['operator']}")
        return begun(self._folder, [entry], list(workloads), **strategy)

    def proxy(self) -> int:
        """The process of HAProxy."""
        shown = self.engine.docker("inspect", "--format", "{{.State.Pid}}", PROXY)
        return int(shown)

    def created(self) -> dict[str, str]:
        """Names by id of all containers but proxies that were made so far, also of removed ones.

        A dockerd that ends takes with it what it knows of those before.
        """
        self.see_containers()
        shown = "{{.ID}} {{.Actor.Attributes.name}}"
        events = ("events", "--since=0", f"--until={time.time():.3f}", "--filter=event=create")
        self._see(self.engine.docker(*events, "--filter=type=container", "--format", shown))
        return dict(self._created)

    def see_containers(self) -> None:
        """Those that there are now count as made."""
        shown = "{{.ID}} {{.Names}}"
        self._see(self.engine.docker("ps", "--all", "--no-trunc", "--format", shown))

    def _see(self, lines: str) -> None:
        for line in lines.splitlines():
            container, name = line.split(" ")
            if not name.startswith(PROXY):
                self._created.setdefault(container, name)

    def deploys(self) -> list[str]:
        """Jobs that began deployments."""
        jobs = self.agent.get("/v1/jobs?limit=1000")
        return [each["id"] for each in jobs if each["kind"] == "workload.deploy"]

    def names(self) -> dict[str, list[str]]:
        """Containers by state."""
        found: dict[str, list[str]] = {}
        said = self.engine.docker("ps", "--all", "--format", "{{.State}} {{.Names}}")
        for line in sorted(said.splitlines()):
            state, name = line.split(" ")
            found.setdefault(state, []).append(name)
        return found

    def _workloads(self) -> Any:
        return self.agent.get("/v1/workloads")

    def answer(self) -> str:
        """What the workload answers now."""
        words = ("busybox", "wget", "-qO-", "http://127.0.0.1:8080")
        return self.engine.enter(*words, check=False).stdout.strip()


def begun(
    folder: Path,
    entries: list[NodeEntry],
    workloads: list[Any],
    *,
    inside: Sequence[str] = (),
    margin: float = MARGIN_SECONDS,
    **more: Any,
) -> Running:
    """A rollout in a journal of its own that was started, without a runner yet."""
    given: dict[str, Any] = {
        "waves": (),
        "weights": WEIGHTS,
        "soak": 0.3,
        "min_healthy": 0,
        "confirm_within": 600,  # however busy the machine is
        "analysis": Analysis(conditions=()),
        **more,
    }
    rollout = plan_rollout(
        entries,
        {},
        Strategy(**given),
        release="app",
        version="1" * 12,
        file="app.yaml",
        owner="maria",
    )
    journal = Journal(folder / f"journal-{rollout.id}")
    request = ApplyRequest(release=f"app@{rollout.id}", workloads=workloads)
    journal.plan(rollout, {entry.name: request for entry in entries})
    journal.begin(rollout.id, by="maria")
    (journal.folder / NODES).write_bytes(msgspec.json.encode(entries))
    return Running(journal, rollout.id, inside=inside, margin=margin)


@contextmanager
def engine_with_gateway(folder: Path) -> Iterator[DockerEngine]:
    """A Docker Engine that proxies can run in."""
    with ExitStack() as stack:
        enclosure = Enclosure(folder, network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        engine.load_busybox()
        gateway_image.load(engine)
        yield engine


@contextmanager
def staged(make_folder: Callable[[], Path], kind: type[S]) -> Iterator[S]:
    """A scene, and the end of all that is in it."""
    with engine_with_gateway(make_folder()) as engine:
        scene = kind(engine, make_folder())
        try:
            yield scene
        finally:
            scene.agent.close()
