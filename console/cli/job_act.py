"""`roost job cancel|retry`."""

from __future__ import annotations

import secrets

import click

from agent.protocol.jobs import Job
from console.cli.job_record import find_job, record_of
from console.cli.options import job_argument, json_option, selector_argument
from console.cli.output import print_json
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.fleet.job_words import state, why
from console.text import clean


@click.command("cancel")
@job_argument
@selector_argument
@json_option
@click.pass_obj
def cancel(setup: Setup, job: str, selector: str | None, *, as_json: bool) -> None:
    """Cancel a job. One that runs puts things in order first, and is `cancelling` until then."""
    setup.refuse_changes("job cancel")
    entry, found = find_job(setup, job, selector)
    after = ask_one(setup, entry.name, lambda _, client: client.cancel_job(found.id))
    _tell(entry, after, as_json=as_json)


@click.command("retry")
@job_argument
@selector_argument
@json_option
@click.pass_obj
def retry(setup: Setup, job: str, selector: str | None, *, as_json: bool) -> None:
    """Do again what a job did not do. It is a new job, with an id of its own."""
    setup.refuse_changes("job retry")
    entry, found = find_job(setup, job, selector)
    key = secrets.token_hex(16)
    made = ask_one(setup, entry.name, lambda _, client: client.retry_job(found.id, key))
    _tell(entry, made, as_json=as_json)


def _tell(entry: NodeEntry, job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(record_of(entry, job))
        return
    text = f"{entry.name}  {job.id}  {job.kind} of {job.subject}  {state(job)}"
    reason = why(job)
    click.echo(clean(f"{text}  ({reason})" if reason else text))
