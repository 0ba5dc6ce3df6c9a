"""What Ctrl+C in a push says."""

from __future__ import annotations

import time

import msgspec

from agent.protocol.jobs import Job
from console.cli.push_stopped import NODES_TOLD, stopped
from console.images.push import PushState

JOB = Job(
    id="0123456789ab",
    kind="image.load",
    subject="web:1",
    state="running",
    stage="receiving",
    owner="maria",
    created_at=0.0,
    deadline_at=1_000_000.0,
)


def at(node: str, **changes: object) -> PushState:
    return PushState(node=node, stage="sending", job=msgspec.structs.replace(JOB, **changes))


def test_each_node_keeps_what_came_until_then() -> None:
    ahead = at("b", stage="no sender")
    ahead.clock_offset_seconds = 3600.0  # its clock is an hour ahead
    loading, early = at("c", stage="loading"), at("d", stage="loading")
    loading.stage = "waiting"  # all is there
    lines = list(stopped([at("a"), ahead, loading, early]))
    until = [time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (1e6, 996_400)]
    keeps = f"job {JOB.id} waits for the rest"
    assert lines == [
        "stopped. What came is kept:",
        f"  a: {keeps} until about {until[0]}, and keeps its space",
        f"  b: {keeps} until about {until[1]}, and keeps its space",
        f"  c: job {JOB.id} goes on without this console (loading)",
        f"  d: {keeps}, and keeps its space; roost job show {JOB.id}: until when",
        "Run the same command to go on. To give it up: roost job cancel JOB",
        "Then others may have the space: what came stays for a week, or until it is in the way.",
    ]


def test_nothing_is_said_of_nodes_that_keep_nothing() -> None:
    states = [PushState(node="a"), at("b", state="succeeded")]
    states[1].stage = "done"
    assert list(stopped(states)) == ["stopped. No node waits for anything."]


def test_of_many_nodes_a_few_are_named() -> None:
    lines = list(stopped([at(f"n{number}") for number in range(NODES_TOLD + 3)]))
    assert len(lines) == NODES_TOLD + 4
    assert lines[-3] == "  and 3 more: roost job ls --state running"
