"""What is said of a job, on the command line and on the screens."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.protocol.jobs import ENDED, NO_SENDER, Job

_DIGEST = re.compile(r"\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b")
# Whose items are parts of one thing, which say nothing to a person.
_PARTS_OF_ONE = "engine."
WELL_ENDED = frozenset({"succeeded", "skipped"})


def doing(job: Job) -> str:
    """What it is at, in one or two words: `loading`, `no sender`, `cancelling`, `failed`."""
    if job.cancelling and job.state not in ENDED:
        return "cancelling"
    return job.stage or "starting" if job.state == "running" else job.state


def state(job: Job) -> str:
    """`running, loading`, `running, cancelling`, `failed`."""
    return f"running, {doing(job)}" if job.state == "running" else job.state


def progress(job: Job, *, size: Callable[[float], str], unknown: str) -> str:
    """`43% of 600 MiB`, `12 of 40`, `1.5 MiB`; `unknown` where nobody knows.

    Of one that did not succeed: `ended at 43% of 600 MiB`.
    """
    if job.done is None or job.state in WELL_ENDED:
        return unknown
    if job.kind.startswith(_PARTS_OF_ONE) and job.total:
        text = f"{100 * job.done // job.total}%"
    elif job.unit == "items":
        text = f"{job.done} of {job.total}" if job.total else str(job.done)
    elif not job.total:
        text = size(job.done)
    else:
        text = f"{100 * job.done // job.total}% of {size(job.total)}"
    return f"ended at {text}" if job.state in ENDED else text


def short_progress(job: Job) -> str:
    """`43%` of whatever it is; "" where that is not known, or it has succeeded."""
    if job.done is None or not job.total or job.state in WELL_ENDED:
        return ""
    return f"{100 * job.done // job.total}%"


def got_to(job: Job, *, size: Callable[[float], str]) -> str:
    """Where one ended that did not succeed: `ended at 43% of 1 GiB, in stage loading`; else ""."""
    if job.state not in ENDED or job.state in WELL_ENDED or not job.stage:
        return ""
    where = f"in stage {job.stage}"
    return (
        f"ended {where}" if job.done is None else f"{progress(job, size=size, unknown='')}, {where}"
    )


def why(job: Job) -> str:
    """Why it waits, failed, or did not go on; what came of it otherwise."""
    if job.problem is not None:
        return f"{job.reason}; {job.problem.detail}" if job.reason else job.problem.detail
    if job.reason:
        return job.reason
    return ", ".join(f"{key} {_DIGEST.sub(_short, value)}" for key, value in job.result.items())


def _short(digest: re.Match[str]) -> str:
    """As people write an image's id; `job show` has the whole."""
    return digest[1]


def since(job: Job) -> float:
    """Unix seconds, by the node's clock, of when it came into its state; a stage is not one."""
    return job.ended_at or job.started_at or job.created_at


def waits_until(job: Job) -> float | None:
    """Until when one that nobody sends to waits, and keeps its space; Unix seconds, node's clock.

    None: it does not wait for anybody.
    """
    return job.deadline_at if doing(job) == NO_SENDER else None
