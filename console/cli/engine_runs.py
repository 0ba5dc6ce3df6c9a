"""A run of `roost engine build`: seen through, told of, and found again."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence

import msgspec

from agent.protocol.problems import Problem, ProblemError
from console.cli.build_display import BuildDisplay
from console.cli.output import print_json, say
from console.cli.run import links
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, print_table
from console.engines.fleet_build import FleetBuild
from console.engines.node_build import NodeBuild
from console.engines.words import short_key
from console.fleet.back_off import jitter
from console.text import age, plural

_COLUMNS = (
    NODE,
    Column("MODEL", least=12),
    Column("RESULT"),
    Column("KEY"),
    Column("TIME", keep=6, right=True),
    Column("IN USE", least=12),
)
_RUN = re.compile(r"[0-9a-f]{12}")
_RUN_BYTES = 6


class BuildRecord(msgspec.Struct, kw_only=True):
    """An engine on a node as `--json` prints it."""

    node: str
    model: str
    run: str  # what `--resume` takes
    result: str  # "built", "shared", "was there", "failed"
    shared_from: str | None = None  # the node that its plan was fetched from
    not_shared: str | None = None  # why it was built there, when it should have been fetched
    key: str | None = None
    current: str | None = None  # whether it is in use now, and why not
    seconds: float
    job: str | None = None
    problem: Problem | None = None


def see_builds(
    setup: Setup, builds: Sequence[NodeBuild], *, at_once: int, resume: str | None, as_json: bool
) -> None:
    """See them through, and print how they went.

    Raises:
        ProblemError: `console.usage` where `resume` is no run.
    """
    if resume is not None and not _RUN.fullmatch(resume):
        raise ProblemError(
            "console.usage",
            f"--resume {resume[:40]}: that is no run",
            hint="A run has 12 hex digits: it was told when it was left.",
        )
    run_name = resume or secrets.token_hex(_RUN_BYTES)
    if resume is None and builds:
        say(f"run {run_name}: --resume {run_name} goes on with it if this console is cut off")
    try:
        asyncio.run(_see(setup, builds, run_name, again=resume is not None, at_once=at_once))
    except KeyboardInterrupt:
        for line in _left(builds, run_name):
            say(line)
        raise
    records = [_record(build, run_name) for build in builds]
    if as_json:
        print_json(records)
    else:
        print_table(_COLUMNS, [_row(record) for record in records])
        for record in records:
            if record.not_shared is not None and record.problem is None:
                say(f"{record.node} {record.model} was built there: {record.not_shared}")
    if any(build.problem is not None for build in builds):
        say(f"To try again what failed: the same command with --resume {run_name}")


def why_failed(build: NodeBuild) -> ProblemError | None:
    """What speaks against a build: its problem, or that nothing uses what it built."""
    if build.problem is not None or build.job is None:
        return build.problem
    return not_in_use(build.entry.name, build.model, build.job.result)


def not_in_use(node: str, model: str, done: Mapping[str, str]) -> ProblemError | None:
    """That an engine that was built or imported is not used, of the job's result.

    On a node without a GPU nothing can be tried, so that is as it has to be there.
    """
    if done.get("gpu") != "yes" or done.get("current") == "yes":
        return None
    named = f"{model} --key {short_key(done['key'])}" if "key" in done else model
    return ProblemError(
        "engine.not_verified",
        f"the engine of {model} is {done.get('engine', 'there')}, and not in use:"
        f" {done.get('current')}",
        params={"model": model, "key": done.get("key")},
        hint=f"Once that is mended: roost engine verify {node} {named}, which tries it and says how"
        " to use it.",
    )


async def _see(
    setup: Setup, builds: Sequence[NodeBuild], run_name: str, *, again: bool, at_once: int
) -> None:
    ways = links(setup)
    fleet = FleetBuild(
        builds, ways.client, run_name=run_name, again=again, at_once=at_once, random=jitter()
    )
    async with BuildDisplay(builds):
        await fleet.run()


def _left(builds: Sequence[NodeBuild], run_name: str) -> list[str]:
    """What is told when Ctrl+C has ended the looking on."""
    under_way = [build for build in builds if build.stage == "under way" and build.job is not None]
    waiting = sum(not build.ended for build in builds) - len(under_way)
    if not under_way and not waiting:
        return []
    parts = []
    if under_way:
        count = len(under_way)
        goes = "goes" if count == 1 else "go"
        parts.append(f"{plural(count, 'build')} {goes} on without this console")
    if waiting:
        parts.append(f"{waiting} {'was' if waiting == 1 else 'were'} not begun")
    return [
        f"stopped looking on. {', '.join(parts)}.",
        f"To go on: the same command with --resume {run_name}",
        "To end one: roost job cancel JOB; roost job ls --state running lists them.",
    ]


def _record(build: NodeBuild, run_name: str) -> BuildRecord:
    job = build.job
    done = job.result if job is not None and build.problem is None else {}
    return BuildRecord(
        node=build.entry.name,
        model=build.model,
        run=run_name,
        result=done.get("engine", "done") if build.problem is None else "failed",
        shared_from=done.get("from"),
        not_shared=build.not_shared or done.get("not_shared"),
        key=done.get("key"),
        current=done.get("current"),
        seconds=round(build.seconds, 1),
        job=job.id if job is not None else None,
        problem=build.problem.problem() if build.problem is not None else None,
    )


def _row(record: BuildRecord) -> tuple[str, ...]:
    return (
        record.node,
        record.model,
        f"from {record.shared_from}" if record.shared_from else record.result,
        short_key(record.key) if record.key else UNKNOWN,
        age(record.seconds),
        record.current or UNKNOWN,
    )
