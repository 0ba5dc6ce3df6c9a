"""What is said of a job."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.jobs import Job
from console.fleet.job_words import (
    doing,
    got_to,
    progress,
    short_progress,
    state,
    waits_until,
)
from console.text import size

HALF = Job(
    id="1234",
    kind="image.load",
    subject="web:1",
    state="running",
    stage="receiving",
    done=1 << 20,
    total=1 << 21,
    owner="maria",
    created_at=0.0,
    deadline_at=9000.0,
)


def job(**changes: object) -> Job:
    return msgspec.structs.replace(HALF, **changes)


def told(job: Job) -> str:
    return progress(job, size=size, unknown="-")


def test_what_runs() -> None:
    assert (doing(HALF), state(HALF)) == ("receiving", "running, receiving")
    assert (told(HALF), short_progress(HALF), got_to(HALF, size=size)) == (
        "50% of 2.0 MiB",
        "50%",
        "",
    )
    assert doing(job(stage=None)) == "starting"
    assert state(job(cancelling=True)) == "running, cancelling"


def test_only_what_nobody_sends_to_waits() -> None:
    waiting = job(stage="no sender")
    assert waits_until(waiting) == 9000.0
    others = [HALF, job(stage="no sender", state="failed"), job(stage="no sender", cancelling=True)]
    assert [waits_until(other) for other in others] == [None] * 3


@pytest.mark.parametrize("ended", ["failed", "cancelled", "interrupted"])
def test_how_far_it_came_is_told_as_such(ended: str) -> None:
    over = job(state=ended)
    assert state(over) == ended
    assert told(over) == "ended at 50% of 2.0 MiB"
    assert got_to(over, size=size) == "ended at 50% of 2.0 MiB, in stage receiving"
    assert got_to(job(state=ended, done=None, total=None), size=size) == "ended in stage receiving"
    assert told(job(state=ended, done=3, total=9, unit="items")) == "ended at 3 of 9"


def test_what_succeeded_is_not_halfway() -> None:
    over = job(state="succeeded")
    assert (told(over), short_progress(over), got_to(over, size=size)) == ("-", "", "")
