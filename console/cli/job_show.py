"""`roost job show`: everything about one job."""

from __future__ import annotations

from datetime import datetime, timezone

import click

from agent.protocol.jobs import ENDED, Job
from console.cli.job_record import find_job, record_of
from console.cli.job_words import got_to
from console.cli.options import job_argument, json_option, selector_argument
from console.cli.output import print_json
from console.cli.setup import Setup
from console.fleet.job_words import state, waits_until
from console.text import clean


@click.command("show")
@job_argument
@selector_argument
@json_option
@click.pass_obj
def command(setup: Setup, job: str, selector: str | None, *, as_json: bool) -> None:
    """Show everything about a job. Times are of the node's clock, in UTC."""
    entry, found = find_job(setup, job, selector)
    if as_json:
        print_json(record_of(entry, found))
        return
    node = f"{entry.name} PROD" if entry.production else entry.name
    for name, text in [("node", node), *facts_of(found)]:
        click.echo(f"{name:<10}{clean(text)}")


def facts_of(job: Job) -> list[tuple[str, str]]:
    facts = [
        ("job", job.id),
        ("kind", job.kind),
        ("subject", job.subject),
        ("state", state(job)),
        ("progress", got_to(job)),
        ("by", job.owner),
        ("asked", _moment(job.created_at)),
    ]
    for name, at in (("begun", job.started_at), ("ended", job.ended_at)):
        if at is not None:
            facts.append((name, _moment(at)))
    waits = waits_until(job)
    if waits is not None:
        facts.append(("waits", f"until {_moment(waits)}, and keeps its space until then"))
    elif job.deadline_at is not None and job.state not in ENDED:
        facts.append(("deadline", f"{_moment(job.deadline_at)}, of this stage"))
    if job.parent:
        facts.append(("parent", job.parent))
    if job.reason:
        facts.append(("reason", job.reason))
    if job.problem is not None:
        facts.append(("problem", f"{job.problem.detail} ({job.problem.code})"))
        if job.problem.hint:
            facts.append(("hint", job.problem.hint))
    facts += [("result", f"{key}: {value}") for key, value in job.result.items()]
    return facts


def _moment(at: float) -> str:
    try:
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
