"""What the verbs share that change containers on nodes: following their jobs, and how they go."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from agent.protocol.deployments import CONFIRM_WITHIN_SECONDS
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.cli.output import say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.fleet.lease import parse_lease
from console.images.following import see_through
from console.link.client import NodeClient
from console.text import age

C = TypeVar("C", bound=Callable[..., object])

# In which a deployment waits for somebody's word.
CANARY = "canary"
_STAGES = {CANARY: "it runs, and is watched"}
NODES_TOLD = 8


def _within(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float:
    if text is None:
        return CONFIRM_WITHIN_SECONDS
    try:
        return parse_lease(text)
    except ProblemError as problem:
        raise click.BadParameter(problem.detail) from None


_confirm_option = click.option(
    "--confirm",
    type=click.Choice(["auto", "manual"]),
    default="auto",
    help="manual: it goes back by itself unless you run `roost workload confirm`.",
)
_within_option = click.option(
    "--confirm-within",
    metavar="TIME",
    callback=_within,
    help="With --confirm manual: how long it waits for you (15m).",
)
check_option = click.option(
    "--check", is_flag=True, help="Say what would happen, and change nothing."
)


def confirm_options(command: C) -> C:
    """`--confirm` and `--confirm-within`: arguments `confirm` and `confirm_within` (seconds)."""
    return _confirm_option(_within_option(command))


class Following:
    """Sees jobs through, one for each node, and tells what stage they are in."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}  # by node, as last seen

    async def see(self, node: str, client: NodeClient, job: Job, *, manual: bool = False) -> Job:
        """The job when it has ended well; where it is `manual`, already when it waits for a word.

        Raises:
            ProblemError: the job's own, `job.unsuccessful`; `link.*` after a long time.
        """
        told = ""
        waits = asyncio.Event()

        def seen(job: Job) -> None:
            nonlocal told
            self.jobs[node] = job
            if job.stage and job.stage != told:
                told = job.stage
                say(f"{node}: {_STAGES.get(told, told)}")
            if manual and job.stage == CANARY:
                waits.set()

        seen(job)
        following = asyncio.create_task(see_through(client, job, random=jitter(), seen=seen))
        waiting = asyncio.create_task(waits.wait())
        try:
            await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return following.result() if following.done() else self.jobs[node]
        finally:
            for task in (following, waiting):
                task.cancel()
            await asyncio.gather(following, waiting, return_exceptions=True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Ctrl+C in here ends the looking on, not the work: say so."""
        try:
            yield
        except KeyboardInterrupt:
            for line in self._stopped():
                say(line)
            raise

    def _stopped(self) -> Iterator[str]:
        left = [(node, job) for node, job in self.jobs.items() if job.state not in ENDED]
        if not left:
            yield "stopped. Nothing was begun that goes on."
            return
        yield "stopped looking on. The work goes on without this console:"
        for node, job in left[:NODES_TOLD]:
            yield f"  {node}: roost job show {job.id}"
        if len(left) > NODES_TOLD:
            yield f"  and {len(left) - NODES_TOLD} more: roost job ls --state running"
        yield "To end it: roost job cancel JOB. What ran before runs again then."


def follow_one(
    setup: Setup,
    entry: NodeEntry,
    begin: Callable[[NodeClient, str], Awaitable[Job]],
    *,
    manual: bool = False,
) -> Job:
    """Begin a job on one node, with an idempotency key, and see it through. Raises as `see`."""
    following = Following()

    async def work(_: NodeEntry, client: NodeClient) -> Job:
        job = await begin(client, secrets.token_hex(16))
        return await following.see(entry.name, client, job, manual=manual)

    with following.told():
        return ask_one(setup, entry.name, work)


def unconfirmed(node: str, workload: str, within: float) -> str:
    """What a person is told whose word a deployment waits for."""
    return (
        f"{node}: {workload} goes back by itself in {age(within)}, unless you say:"
        f" roost workload confirm {node} {workload}"
    )


def problem_of(job: Job) -> ProblemError | None:
    """Why a job that was skipped did nothing."""
    if job.state != "skipped":
        return None
    return ProblemError(
        "job.unsuccessful",
        f"nothing was done: {job.reason or 'no reason was given'}",
        params={"job": job.id},
        hint=f"See what it did: roost job log {job.id}",
    )
