"""`roost rollout runner --all` beside people who start rollouts, on simulated nodes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from console.rollouts.supervisor import supervision
from tests.console.cli.commands import ROOST, Done, environment, roost, write_fleet
from tests.simulated import simulator_process
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def entries() -> Iterator[list[NodeEntry]]:
    with simulator_process(2, faults=False) as simulator:
        yield msgspec.convert(msgspec.to_builtins(simulator.nodes.nodes), list[NodeEntry])


class Side:
    """A person, and the supervisor of the same journal."""

    def __init__(self, home: Path, entries: list[NodeEntry]) -> None:
        self.home, self.state = home, {"ROOST_STATE": str(home / "state")}
        self.fleet = write_fleet(home / "fleet.yaml", entries)
        self.names = [entry.name for entry in entries]
        self.journal = Journal(home / "state")

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, "rollout", *arguments, env=self.state)

    def planned(self, name: str, value: str = "one") -> str:
        """A rollout on one node, that waits at its gate."""
        file = self.home / f"{name}.yaml"
        rollout = {"gate": "manual", "soak": "0s", "min_healthy": "0s"}
        service: dict[str, object] = {
            "image": "edge/gateway:1.9.0",
            "environment": {"VALUE": value},
        }
        service["x-roost"] = {"soak": "0s"}
        document = {"name": "app", "x-roost": {"rollout": rollout}, "services": {"web": service}}
        file.write_text(json.dumps(document))
        plan = self.roost("plan", file, "--to", f"@{name}", "--json")
        assert plan.code == 0, plan
        return str(plan.json["id"])

    @contextmanager
    def supervisor(self) -> Iterator[subprocess.Popen[bytes]]:
        """It is there when entered; killed when left."""
        with (self.home / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                [ROOST, "rollout", "runner", "--all"],
                env=environment(self.home, self.state),
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(lambda: supervision(self.journal.folder) is not None)
            yield process
        finally:
            process.kill()
            process.wait()

    def is_at(self, rollout: str) -> str:
        return self.journal.load(rollout).state


def test_it_steers_all_and_is_gone_on_with_after_it_was_killed(
    tmp_path: Path, entries: list[NodeEntry]
) -> None:
    side = Side(tmp_path, entries)
    with side.supervisor() as process:
        plans = [side.planned(name) for name in side.names]
        for plan in plans:
            done = side.roost("start", plan, "--detach")
            assert done.code == 0, done
            assert f"the supervisor (process {process.pid}) steers it" in done.err
        wait_until(lambda: [side.is_at(plan) for plan in plans] == ["gate", "gate"])
        second = side.roost("runner", "--all")
        assert (second.code, "another process steers all rollouts" in second.err) == (1, True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert supervision(side.journal.folder) is None
    with side.supervisor() as process:
        for plan in plans:
            assert side.roost("promote", plan).code == 0
        wait_until(lambda: [side.is_at(plan) for plan in plans] == ["done", "done"])
        process.terminate()
        assert process.wait() == 0


def test_without_one_it_is_said_that_nobody_restarts_the_runner(
    tmp_path: Path, entries: list[NodeEntry]
) -> None:
    side = Side(tmp_path, entries)
    plan = side.planned(side.names[0], "two")
    done = side.roost("start", plan, "--detach")
    assert "Nobody restarts its runner" in done.err
    wait_until(lambda: side.is_at(plan) == "gate")
    assert side.roost("abort", plan).code == 1
    assert side.roost("runner").code == 2
    assert side.roost("runner", plan, "--all").code == 2
