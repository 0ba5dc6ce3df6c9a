"""`roost image push`: the images of archives to every selected node."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import Freeable, LoadPlan
from agent.protocol.node import NodeFacts
from agent.protocol.node_files import is_title
from agent.protocol.problems import Problem, ProblemError
from console.cli import check_table
from console.cli.check_table import short
from console.cli.consent import consent
from console.cli.image_check import check, verdicts_of
from console.cli.image_options import (
    archives_argument,
    read_archives,
    read_judge,
    to_option,
    verified_cache,
)
from console.cli.nodes import selected_nodes
from console.cli.options import json_option, yes_option
from console.cli.output import NO_LIMIT, print_json, say
from console.cli.push_display import PushDisplay
from console.cli.push_stopped import stopped
from console.cli.room import ask_for_room, may_ask, room_option
from console.cli.run import Answer, conclude, links
from console.cli.runs_text import Verdicts, tell_verdicts, warnings_of
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, fit, print_table
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.images.judging import ArchiveJudge
from console.images.push import Push, PushState
from console.images.quiet import Quiet, QuietHours, parse_quiet
from console.images.rate import RateLimit, parse_bytes, parse_rate
from console.images.sending import AT_ONCE
from console.images.sites import Account, Sites
from console.images.vetting import Vetting
from console.text import age, plural, size

# All share this console's uplink; more at once would only make each slower to be done.
NODES_AT_ONCE = 16
# Each layer that is being compressed takes some 8 MB here.
LAYERS_AT_ONCE = 16

_COLUMNS = (
    NODE,
    Column("RESULT"),
    Column("SENT", right=True),
    Column("TIME", keep=6, right=True),
    Column("IMAGES", least=16),
)
_SITE_COLUMNS = (*_COLUMNS[:2], Column("WAY"), *_COLUMNS[2:])


class PushRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it."""

    node: str
    result: str  # "done"; "present": it had them; "stopped": by the budget; "failed"
    sent_bytes: int
    seconds: float
    job: str | None = None
    images: dict[str, str] = {}  # tag: id there; of a file its title and SHA-256
    problem: Problem | None = None
    way: str = ""  # of its layers: "direct", "seed", "from NODE"; "": it lacked none
    fetched_bytes: int = 0  # from other nodes of its site
    warnings: list[str] = []  # why an image cannot run there
    freed: list[Freeable] = []  # what the plan removed to make room, once the job ran


@click.command("push")
@archives_argument
@to_option
@click.option("--limit", metavar="RATE", help="At most so much a second in all, as 2MB/s.")
@click.option("--budget", metavar="BYTES", help="At most so much to each node, as 500MB.")
@click.option(
    "--quiet",
    multiple=True,
    metavar="HOURS",
    help="Send nothing in these hours of the node's day, as 06:00-22:00; may come more than once.",
)
@click.option(
    "--via-site",
    is_flag=True,
    help="Send once to each site (label `site`); its nodes pass the layers on.",
)
@room_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    archives: tuple[Path, ...],
    selector: str,
    limit: str | None,
    budget: str | None,
    quiet: tuple[str, ...],
    *,
    via_site: bool,
    make_room: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Bring what ARCHIVEs hold to nodes: images, and of bundles models and releases, too.

    Only layers and files that a node lacks are sent.

    What was sent is kept: after a cut, or when this command is ended and run again, it goes on
    where it stopped. On production nodes you see what would be done, and are asked; also where
    a node has no room without removing images, unless --make-room says so.

    \b
      roost image push app.tar --to site=plant-7
      roost image push app-1.tar.zst --to 'gpu in (t4,a10)' --limit 2MB --via-site
    """
    setup.refuse_changes("image push")
    rate = RateLimit(None if limit is None else parse_rate(limit))
    budget_bytes = None if budget is None else parse_bytes(budget)
    quiet_hours = parse_quiet(quiet)
    entries = selected_nodes(setup, selector)
    indexes = read_archives(archives)
    judge = read_judge(setup, indexes)
    asks = not make_room and may_ask(yes=yes)
    facts: dict[str, NodeFacts] = {}
    answers = check(setup, entries, indexes, make_room=True, facts=facts) if asks else []

    def show(production: Sequence[NodeEntry]) -> None:
        chosen = [answer for answer in answers if answer.entry in production]
        chosen = chosen or check(setup, production, indexes, make_room=make_room, facts=facts)
        _show(chosen, verdicts_of(setup, production, judge, facts))

    consent(entries, f"load {', '.join(path.name for path in archives)}", yes=yes, show=show)
    if asks:
        make_room = ask_for_room(answers)
    display = PushDisplay(len(entries))
    try:
        records = asyncio.run(
            _push_all(
                display,
                links(setup),
                entries,
                indexes,
                rate,
                budget_bytes,
                quiet_hours,
                via_site=via_site,
                make_room=make_room,
                judge=judge,
            )
        )
    except KeyboardInterrupt:
        for line in stopped(display.states):
            say(line)
        raise
    if as_json:
        print_json([record for record, _ in records])
    else:
        print_table(
            _SITE_COLUMNS if via_site else _COLUMNS,
            [_row(record, via_site=via_site) for record, _ in records],
        )
    for record, _ in records:
        if record.problem is None:
            check_table.tell_freed(record.node, "to make room, removed", record.freed)
    return conclude(
        [
            Answer(entry, state, state.problem)
            for entry, (_, state) in zip(entries, records, strict=True)
        ]
    )


def _show(answers: Sequence[Answer[LoadPlan]], verdicts: Verdicts) -> None:
    """What would be done, beside what this command prints."""
    limit = shutil.get_terminal_size().columns if sys.stderr.isatty() else NO_LIMIT
    for line in fit(check_table.COLUMNS, check_table.rows(answers, verdicts), limit):
        say(line)
    check_table.tell_reasons(answers)
    tell_verdicts(verdicts)
    conclude(answers)


async def _push_all(
    display: PushDisplay,
    ways: Links,
    entries: Sequence[NodeEntry],
    indexes: Sequence[ArchiveIndex],
    limit: RateLimit,
    budget_bytes: int | None,
    quiet_hours: QuietHours,
    *,
    via_site: bool,
    make_room: bool,
    judge: ArchiveJudge,
) -> list[tuple[PushRecord, PushState]]:
    gate = asyncio.Semaphore(NODES_AT_ONCE)
    at_once = max(1, min(AT_ONCE, LAYERS_AT_ONCE // len(entries)))
    sites = Sites(
        entries if via_site else (),
        ways.client,
        indexes,
        limit=limit,
        budget_bytes=budget_bytes,
        quiet=lambda: Quiet(quiet_hours) if quiet_hours else None,
        at_once=at_once,
        random=jitter(),
    )

    warnings: dict[str, list[str]] = {}
    vetting = Vetting(verified_cache())

    async def one(entry: NodeEntry) -> tuple[PushState, float]:
        async with gate:
            started = time.monotonic()
            try:
                client = sites.client(entry.name) or ways.client(entry)
            except ProblemError as problem:
                state = PushState(node=entry.name, stage="failed", problem=problem)
                return state, 0.0

            def seen(facts: NodeFacts) -> None:
                warnings[entry.name] = warnings_of(judge(facts))
                for warning in warnings[entry.name]:
                    display.say(f"warning: {entry.name}: {warning}")

            push = Push(
                client,
                indexes,
                limit=limit,
                budget_bytes=budget_bytes,
                quiet=Quiet(quiet_hours) if quiet_hours else None,
                at_once=at_once,
                other_way=sites.other_way(entry.name),
                vetting=vetting,
                make_room=make_room,
                on_facts=seen,
                random=jitter(),
            )
            display.add(push.state)
            try:
                state = await push.run()
            finally:
                sites.ended(entry.name)
                if sites.client(entry.name) is None:
                    await client.close()
            return state, time.monotonic() - started

    async with display:
        try:
            await sites.begin()
            first = sites.seeds_first(entries)
            ended = await asyncio.gather(*map(one, first))
            await sites.settle()
            # Only now: a seed goes on to get layers for others when its own push has ended.
            by_name = {
                state.node: (
                    _record(state, seconds, sites.account(state), warnings.get(state.node, [])),
                    state,
                )
                for state, seconds in ended
            }
            return [by_name[entry.name] for entry in entries]
        finally:
            await vetting.stop()
            await sites.end()


def _record(state: PushState, seconds: float, account: Account, warnings: list[str]) -> PushRecord:
    return PushRecord(
        node=state.node,
        result=_result(state),
        sent_bytes=account.sent_bytes,
        seconds=round(seconds, 1),
        job=None if state.job is None else state.job.id,
        images=state.images,
        problem=None if state.problem is None else state.problem.problem(),
        way=account.way,
        fetched_bytes=account.fetched_bytes,
        freed=state.plan.frees if state.plan is not None and state.job is not None else [],
        warnings=warnings,
    )


def _result(state: PushState) -> str:
    if state.problem is not None:
        return "stopped" if state.problem.code == "push.budget" else "failed"
    return "present" if state.job is None else "done"


def _row(record: PushRecord, *, via_site: bool) -> Row:
    files = sum(is_title(name) for name in record.images)
    shown = [f"{tag} {short(name)}" for tag, name in record.images.items() if not is_title(tag)]
    images = ", ".join([*shown, *([plural(files, "file")] if files else [])])
    return (
        record.node,
        record.result,
        *([record.way or "-"] if via_site else []),
        size(record.sent_bytes),
        age(record.seconds),
        images or UNKNOWN,
    )
