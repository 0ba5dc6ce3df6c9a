"""`roost container start`, `stop` and `restart`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.cli.commands import ROOST, environment, roost
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)


def test_stop_and_start_are_read_back(tmp_path: Path, fleet: Path) -> None:
    verbs = ("--fleet", fleet, "container")
    stopped = roost(tmp_path, *verbs, "stop", "plant-1-t4", "ingest", "--timeout", "3")
    assert (stopped.code, stopped.out, stopped.err) == (0, "plant-1-t4  ingest  exited 0\n", "")
    again = roost(tmp_path, *verbs, "stop", "plant-1-t4", "ingest")
    assert again.out == "plant-1-t4  ingest  exited 0 (it was so already)\n"
    started = roost(tmp_path, *verbs, "start", "plant-1-t4", "ingest", "--json")
    assert started.json["node"] == "plant-1-t4"
    assert started.json["change"]["changed"] is True
    assert started.json["change"]["container"]["state"] == "running"
    restarted = roost(tmp_path, *verbs, "restart", "plant-1-t4", "ingest")
    assert (restarted.code, restarted.out) == (0, "plant-1-t4  ingest  running\n")


def test_what_does_not_stay_up_is_a_failure(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "container", "start", "plant-1-t4", "model-fetch")
    running = roost(tmp_path, "--fleet", fleet, "container", "ls", "@plant-1-t4", "--json").json
    (state,) = (
        record["container"]["state"]
        for record in running
        if record["container"]["name"] == "model-fetch"
    )
    assert done.code == (0 if state == "running" else 1)


def test_an_unknown_container_or_node(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "container", "stop", "plant-1-t4", "nope")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: plant-1-t4: no container is named 'nope'")
    done = roost(tmp_path, "--fleet", fleet, "container", "stop", "plant-1-t5", "ingest")
    assert done.code == 2
    assert "Did you mean 'plant-1-t4'?" in done.err
    done = roost(tmp_path, "--fleet", fleet, "container", "stop", "plant-1-offline", "ingest")
    assert done.code == 3


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_read_only_refuses(tmp_path: Path, fleet: Path, verb: str) -> None:
    done = roost(
        tmp_path, "--read-only", "--fleet", fleet, "container", verb, "plant-1-t4", "gateway"
    )
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: container {verb} changes something")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_production_is_not_touched_where_nobody_can_be_asked(
    tmp_path: Path, fleet: Path, verb: str
) -> None:
    arguments = ("--fleet", fleet, "container", verb, "plant-2-a10", "gateway")
    done = roost(tmp_path, *arguments)
    assert (done.code, done.out) == (2, "")
    assert "is in production" in done.err
    assert started_at(tmp_path, fleet) is not None
    assert roost(tmp_path, *arguments, "--yes").code == 0
    assert (
        roost(tmp_path, "--fleet", fleet, "container", "start", "plant-2-a10", "gateway").code == 0
    )


@pytest.mark.parametrize(("typed", "code"), [("plant-2-a10", 0), ("yes", 2), ("", 2)])
def test_production_wants_the_nodes_name_typed(
    tmp_path: Path, fleet: Path, typed: str, code: int
) -> None:
    before = started_at(tmp_path, fleet)
    command: list[str | Path] = [
        ROOST,
        "--fleet",
        fleet,
        "container",
        "restart",
        "plant-2-a10",
        "gateway",
    ]
    with Terminal(command, env=environment(tmp_path)) as terminal:
        terminal.wait_for("type the node's name", 20)
        assert "PRODUCTION" in terminal.screen_text()
        terminal.send(typed)
        terminal.press("enter")
        assert terminal.wait_exit(20) == code
    assert (started_at(tmp_path, fleet) != before) == (code == 0)


def started_at(home: Path, fleet: Path) -> float | None:
    """When the gateway of the production node was started; None: it does not run."""
    records = roost(home, "--fleet", fleet, "container", "ls", "@plant-2-a10", "--json").json
    (container,) = (r["container"] for r in records if r["container"]["name"] == "gateway")
    started: float | None = container["started_at"] if container["state"] == "running" else None
    return started
