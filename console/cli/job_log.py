"""`roost job log`: a job's log, also over a link that drops."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import click
import msgspec

from agent.protocol.jobs import Job, JobLogLine
from agent.protocol.problems import ProblemError
from console.cli.failures import FAILED, not_reached
from console.cli.job_record import find_job
from console.cli.options import job_argument, json_option, selector_argument
from console.cli.output import safe_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.fleet.job_words import state, why
from console.link.client import NodeClient
from console.text import clean_output

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0
_WELL_ENDED = {"succeeded", "skipped"}


class LineRecord(msgspec.Struct, kw_only=True):
    """A line as `--json` prints it, one to a line of output."""

    node: str
    job: str
    line: JobLogLine


@click.command("log")
@job_argument
@selector_argument
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until the job ends.")
@json_option
@click.pass_obj
def command(setup: Setup, job: str, selector: str | None, *, follow: bool, as_json: bool) -> int:
    """Print a job's log.

    With --follow, a link that drops is tried again, nothing is printed twice, and the exit code
    is 1 if the job does not succeed.
    """
    entry, found = find_job(setup, job, selector)

    async def read(entry: NodeEntry, client: NodeClient) -> Job:
        reader = _Reader(entry.name, client, found.id, as_json=as_json)
        return await (reader.follow() if follow else reader.read(follow=False))

    last = ask_one(setup, entry.name, read)
    if not follow:
        return 0
    reason = why(last)
    say(f"{entry.name}: job {last.id}: {state(last)}" + (f": {reason}" if reason else ""))
    return 0 if last.state in _WELL_ENDED else FAILED


class _Reader:
    """Reads one log, and knows what was printed."""

    def __init__(self, node: str, client: NodeClient, job: str, *, as_json: bool) -> None:
        self._node = node
        self._client = client
        self._job = job
        self._as_json = as_json
        self._after = 0

    async def read(self, *, follow: bool) -> Job:
        """Print what is new; the job as the agent told it at the end."""
        batches = self._client.job_log(self._job, follow=follow, after=self._after)
        async with aclosing(batches):
            async for batch in batches:
                if isinstance(batch, Job):
                    return batch
                for line in batch:
                    click.echo(self._text(line))
                    self._after = line.number
        raise AssertionError("the stream ends with a job or raises")

    async def follow(self) -> Job:
        """Until the job ends, or the agent itself refuses."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            before = self._after
            try:
                return await self.read(follow=True)
            except ProblemError as problem:
                if not not_reached(problem):
                    raise
                if self._after != before:
                    pause = _FIRST_PAUSE_SECONDS
                say(f"{problem.detail}; trying again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _text(self, line: JobLogLine) -> str:
        if not self._as_json:
            return clean_output(line.text)
        record = LineRecord(node=self._node, job=self._job, line=line)
        return safe_json(msgspec.json.encode(record).decode())
