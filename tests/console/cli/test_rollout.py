"""`roost rollout` as a person sees it: plans, gates, approval, windows, taking back. Simulated."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest

from console.fleet.inventory import NodeEntry
from console.fleet.links import stated_owner
from console.rollouts.journal import Journal
from console.rollouts.locks import locked
from console.rollouts.record import Rollout
from tests.console.cli.commands import ROOST, Done, environment, roost, write_fleet
from tests.simulated import simulator_process
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)

IMAGE = "edge/gateway:1.9.0"
NEVER_NOW = {"cron": "0 0 29 2 *", "duration": "1m", "zone": "UTC"}


@pytest.fixture(scope="module")
def entries() -> Iterator[list[NodeEntry]]:
    with simulator_process(3, faults=False) as simulator:
        yield msgspec.convert(msgspec.to_builtins(simulator.nodes.nodes), list[NodeEntry])


class Side:
    """A person with three nodes at three sites."""

    def __init__(self, home: Path, entries: list[NodeEntry], name: str) -> None:
        self.home, self.name = home, name
        self.fleet = write_fleet(home / "fleet.yaml", entries)
        self.names = [entry.name for entry in entries]
        self.journal = Journal(home / "state")

    def release(self, **rollout: Any) -> Path:
        calm = {"soak": "1s", "min_healthy": "0s", "max_unavailable": 3, "waves": [{"nodes": 2}]}
        document = {
            "name": self.name,
            "x-roost": {"rollout": {**calm, **rollout}},
            "services": {self.name: {"image": IMAGE, "x-roost": {"soak": "0s"}}},
        }
        file = self.home / "app.yaml"
        file.write_text(json.dumps(document))
        return file

    def planned(self, selector: str = "simulated", **rollout: Any) -> str:
        done = self.roost("plan", self.release(**rollout), "--to", selector, "--json")
        assert done.code == 0, done
        found: str = done.json["id"]
        return found

    def started(self, **rollout: Any) -> str:
        name = self.planned(**rollout)
        done = self.roost("start", name, "--detach")
        assert done.code == 0, done
        return name

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, "rollout", *arguments, env=self.state)

    @property
    def state(self) -> dict[str, str]:
        return {"ROOST_STATE": str(self.journal.folder)}

    def until(self, name: str, holds: Callable[[Rollout], bool]) -> Rollout:
        """Wait; the test's own time-out is the limit."""
        while not holds(now := self.journal.load(name)):
            time.sleep(0.05)
        return now

    def end(self) -> None:
        """No runner is left over, and no node under way."""
        for rollout in self.journal.rollouts():
            if rollout.wants_runner:
                self.roost("abort", rollout.id, "--yes")
                while locked(self.journal.folder, rollout.id):
                    time.sleep(0.05)


@pytest.fixture
def side(
    tmp_path: Path, entries: list[NodeEntry], request: pytest.FixtureRequest
) -> Iterator[Side]:
    made = Side(tmp_path, entries, f"w{crc32(request.node.name.encode())}")
    yield made
    made.end()


def test_a_plan_says_how_it_goes_out_defaults_included(side: Side) -> None:
    file = side.home / "app.yaml"
    file.write_text(json.dumps({"name": "app", "services": {"web": {"image": IMAGE}}}))
    done = side.roost("plan", file, "--to", "simulated")
    assert done.code == 0, done
    for line in (
        "waves: 1 node, 10 %, the rest",
        "at most 1 node at a time; a node counts until it has been well for 1m",
        "each wave is watched for 5m, then it goes on by itself",
        "where a node splits requests, it gets 10, 50, 100 % of them, watched for 5m at each",
        "if a node fails, the wave that it is in goes back",
        "a node has 4h to be prepared, 1h to run the release, 1h beyond its soak to be judged",
        "a node that is not heard of goes back by itself after 15m",
        "a node that is offline may still get it for 7d after the end",
    ):
        assert f"  {line}\n" in done.out


def test_a_plan_says_windows_groups_and_gates(side: Side) -> None:
    night = {"cron": "0 22 * * mon-fri", "duration": "6h"}
    file = side.release(
        gate="approval",
        window=night,
        max_unavailable=["50%", {"per": "site", "count": 1}],
        failures=1,
        weights=[100],
        catch_up="0",
    )
    done = side.roost("plan", file, "--to", "simulated")
    assert done.code == 0, done
    assert "at most 1 node at a time, 1 of each site;" in done.out
    assert "their window: 0 22 * * mon-fri, open for 6h, each node by the clock of" in done.out
    assert "then somebody promotes it who neither planned nor started it" in done.out
    assert "if more than 1 node fails" in done.out
    assert "splits requests" not in done.out
    assert "after the end" not in done.out


def test_a_window_that_never_opens_is_refused_with_its_line(side: Side) -> None:
    file = side.release(window={"cron": "0 0 31 2 *", "duration": "1h"})
    done = side.roost("plan", file, "--to", "simulated")
    assert done.code == 1
    assert "which never comes" in done.err
    assert "there is no plan" in done.err
    assert side.journal.rollouts() == []


def test_nodes_are_held_until_their_window_opens_and_an_abort_leaves_them_out(side: Side) -> None:
    name = side.started(window=NEVER_NOW)
    side.until(name, lambda now: now.counts() == {"held": 2, "planned": 1})
    shown = side.roost("status", name)
    assert "its window opens at 20" in shown.err
    assert "-02-29 00:00 UTC" in shown.err
    done = side.roost("abort", name)
    assert "0 nodes not confirmed go back at once" in done.err
    assert "3 nodes that nothing was changed on are left out" in done.err
    assert done.err.splitlines()[-1] == "aborted: 3 skipped"


def test_the_second_on_a_node_is_refused_when_it_is_planned_and_names_the_first(side: Side) -> None:
    name = side.started(gate="manual")
    done = side.roost("plan", side.release(waves=[]), "--to", f"@{side.names[2]}")
    assert done.code == 1
    assert f"{side.names[2]}: rollout {name} ({side.name}) is " in done.err
    assert f"roost rollout abort {name}" in done.err


def test_a_gate_is_for_somebody_else(side: Side) -> None:
    name = side.started(gate="approval")
    side.until(name, lambda now: now.state == "gate")
    shown = side.roost("status", name)
    assert "it waits: for somebody else than who planned or started it" in shown.err
    assert f"  pass: {side.name}/restarts: restarts 0, 0 may be" in shown.out  # the judge says
    refused = side.roost("promote", name)
    assert refused.code == 1
    assert f"{stated_owner()} has planned it" in refused.err
    side.journal.wish(name, "promote", by="ann@console")
    now = side.until(name, lambda now: now.state == "gate" and now.wave == 1)
    assert now.counts() == {"done": 2, "canary": 1}
    words: list[str | Path] = [ROOST, "--fleet", side.fleet, "rollout", "watch", name]
    with Terminal(
        words, columns=120, lines=30, env=environment(side.home) | side.state
    ) as watching:
        watching.wait_for(f"hint: roost rollout promote {name} lets it through", 20)
        side.journal.wish(name, "promote", by="ann@console")
        assert watching.wait_exit(30) == 0
    assert "by ann@console" in side.roost("history", name).out


def test_who_promotes_past_the_command_is_told_no_by_the_runner(side: Side) -> None:
    name = side.started(gate="approval")
    side.until(name, lambda now: now.state == "gate")
    side.journal.wish(name, "promote", by=stated_owner())
    while side.journal.wishes(name):
        time.sleep(0.05)
    assert side.journal.load(name).state == "gate"
    assert "not promote" in side.roost("history", name).out


def test_undo_says_counts_and_at_once_asks_for_the_name(side: Side) -> None:
    name = side.planned(waves=[], max_unavailable=1)
    assert side.roost("start", name).code == 0
    refused = side.roost("undo", name, "--at-once", "--yes")
    assert refused.code == 2
    assert "3 nodes that are done go back, all at once" in refused.err
    assert "Without --at-once" in refused.err
    assert side.journal.load(name).state == "done"
    command: list[str | Path] = [
        *(ROOST, "--fleet", side.fleet, "rollout", "undo", name, "--at-once"),
    ]
    for typed, code in (("yes", 2), (side.name, 0)):
        with Terminal(command, env={**environment(side.home), **side.state}) as terminal:
            terminal.wait_for("Type the release's name", 20)
            terminal.send(typed)
            terminal.press("enter")
            assert terminal.wait_exit(30) == code
    assert side.journal.load(name).counts() == {"reverted": 3}
    events = [event for _, event in side.journal.events(name)]
    began = [event.at for event in events if event.what == "reverting" and event.node]
    assert len(set(began)) == 1  # in one step


def test_undo_by_itself_says_how_many_at_a_time(side: Side) -> None:
    name = side.planned(waves=[], max_unavailable=2)
    assert side.roost("start", name).code == 0
    done = side.roost("undo", name)
    assert "3 nodes that are done go back, at most 2 at a time" in done.err
    assert done.err.splitlines()[-1] == "undone: 3 reverted"


def test_a_runner_that_is_gone_is_said_and_any_wish_brings_one(side: Side) -> None:
    name = side.started(gate="manual")
    side.until(name, lambda now: now.state == "gate")
    os.kill(runner_of(side), signal.SIGKILL)
    while locked(side.journal.folder, name):
        time.sleep(0.05)
    shown = side.roost("status", name)
    assert "nobody steers it, and its nodes go back by themselves" in shown.err
    done = side.roost("abort", name)
    assert "2 nodes not confirmed go back at once" in done.err
    assert "0 nodes that are done stay as they are" in done.err
    assert done.err.splitlines()[-1] == "aborted: 2 reverted, 1 skipped"


def runner_of(side: Side) -> int:
    """Its process id: whoever runs with this journal."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            around = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"ROOST_STATE={side.journal.folder}".encode() in around and b"runner" in words:
            return int(process.name)
    raise AssertionError("no runner is at work")
