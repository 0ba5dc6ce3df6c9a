"""What is told of a push that Ctrl+C ended: what nodes keep, until when, and what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from agent.protocol.jobs import AWAITING_LAYERS, ENDED, Job
from console.images.push import PushState

NODES_TOLD = 8


def stopped(states: Sequence[PushState]) -> Iterator[str]:
    """The lines; a node that was through, or of which nothing was asked, is not in them."""
    begun = [(state, state.job) for state in states if state.job and not state.ended]
    left = [(state, job) for state, job in begun if job.state not in ENDED]
    if not left:
        yield "stopped. No node waits for anything."
        return
    yield "stopped. What came is kept:"
    for state, job in left[:NODES_TOLD]:
        yield f"  {state.node}: job {job.id} {_does(state, job)}"
    if len(left) > NODES_TOLD:
        yield f"  and {len(left) - NODES_TOLD} more: roost job ls --state running"
    yield "Run the same command to go on. To give it up: roost job cancel JOB"
    yield "Then others may have the space: what came stays for a week, or until it is in the way."


def _does(state: PushState, job: Job) -> str:
    if job.stage not in AWAITING_LAYERS or job.deadline_at is None:
        # A load may begin before all layers are there; then it will wait, too.
        if state.stage == "waiting":
            return f"goes on without this console ({job.stage or job.state})"
        return f"waits for the rest, and keeps its space; roost job show {job.id}: until when"
    moment = time.localtime(job.deadline_at - state.clock_offset_seconds)
    until = time.strftime("%Y-%m-%d %H:%M", moment)
    return f"waits for the rest until about {until}, and keeps its space"
