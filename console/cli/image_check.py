"""`roost image check`: what a push would do on each node, and whether the images can run there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import LoadPlan
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.site import SiteStatus
from console.cli import check_table, driver_plan
from console.cli.check_sites import tell_sites
from console.cli.image_options import (
    is_archive,
    read_archives,
    read_judge,
    to_option,
    verified_cache,
)
from console.cli.image_runs import check_names
from console.cli.last_facts import last_facts
from console.cli.nodes import selected_nodes
from console.cli.options import json_option
from console.cli.output import NO_LIMIT, print_json, say
from console.cli.room import room_option
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.runs_text import GPU_COLUMNS, any_fails, gpu_rows, tell_verdicts
from console.cli.setup import Setup
from console.cli.table import print_table
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.judging import ArchiveJudge, Judged
from console.images.push import Push
from console.images.rate import RateLimit
from console.images.sites import LABEL
from console.link.client import NodeClient
from console.text import plural


class CheckRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it; `plan` None: it did not answer, or it is about an image."""

    node: str
    problem: Problem | None = None
    plan: LoadPlan | None = None
    site: SiteStatus | None = None  # whether it can be the seed of its site; None: it has none
    runs: Sequence[Judged] = ()  # by image


@click.command("check")
@click.argument("subjects", nargs=-1, required=True, metavar="IMAGE|ARCHIVE...")
@to_option
@room_option
@click.option("--wide", "-w", is_flag=True, help="A line for each GPU, too.")
@click.option("--drivers", is_flag=True, help="Which driver each node would need, too.")
@json_option
@click.pass_obj
def command(
    setup: Setup,
    subjects: tuple[str, ...],
    selector: str,
    *,
    make_room: bool,
    wide: bool,
    drivers: bool,
    as_json: bool,
) -> int:
    """Say per node whether images can run, and what would be sent. Nothing changes.

    An ARCHIVE is a file or a folder; an IMAGE is the name of one that nodes have, and is looked
    at there. RUNS goes by the node's driver, GPUs and CPU and by what the image says of itself;
    for a node that does not answer, by what it said last. SEND is before compression. NOW is the
    image that has the name on the node. NEED and FREE are of the disk with the least to spare,
    less what stays free whatever comes; FREES is what would be removed to make room: layers that
    are kept for later and, with --make-room, images. Below it says which sites can pass layers on
    (push --via-site). The exit code is 1 where a push would be refused, or an image cannot run;
    on a terminal, a push that only wants --make-room asks for it.
    """
    archives = [Path(subject) for subject in subjects if is_archive(subject)]
    entries = selected_nodes(setup, selector)
    if not archives:
        return check_names(setup, entries, subjects, wide=wide, drivers=drivers, as_json=as_json)
    if len(archives) < len(subjects):
        names = [subject for subject in subjects if not is_archive(subject)]
        raise ProblemError(
            "console.usage",
            f"{names[0]} is no file, so it is taken for an image's name; {archives[0]} is one",
            hint="Ask about images that nodes have, and about archives, one after the other.",
        )
    indexes = read_archives(archives)
    judge = read_judge(setup, indexes)
    sites: dict[str, SiteStatus] = {}
    facts: dict[str, NodeFacts] = {}
    answers = check(setup, entries, indexes, make_room=make_room, sites=sites, facts=facts)
    verdicts = verdicts_of(setup, entries, judge, facts)
    if as_json:
        print_json(
            [
                CheckRecord(
                    node=answer.entry.name,
                    problem=answer.problem.problem() if answer.problem else None,
                    plan=answer.value,
                    site=sites.get(answer.entry.name),
                    runs=verdicts.get(answer.entry.name, ()),
                )
                for answer in answers
            ]
        )
        refused = any(answer.value is not None and answer.value.problems for answer in answers)
        refused |= any_fails(verdicts)
    else:
        print_table(check_table.COLUMNS, check_table.rows(answers, verdicts))
        if wide and (rows := gpu_rows(verdicts)):
            click.echo()
            print_table(GPU_COLUMNS, rows, limit=NO_LIMIT)
        if drivers:
            before = last_facts(setup, [each for each in entries if each.name not in facts])
            known = {name: last for name, (last, _) in before.items()} | facts
            click.echo()
            print_table(driver_plan.COLUMNS, driver_plan.rows(verdicts, known, judge.tables))
        refused = check_table.tell_reasons(answers)
        refused |= any_fails(verdicts)
        unfit = {answer.entry.name for answer in answers if _is_unfit(answer)}
        tell_verdicts({node: each for node, each in verdicts.items() if node not in unfit})
        tell_sites([entry for entry in entries if entry.name not in unfit], sites)
        tell_unverified(indexes)
    return conclude(answers) or int(refused)


def verdicts_of(
    setup: Setup, entries: Sequence[NodeEntry], judge: ArchiveJudge, facts: Mapping[str, NodeFacts]
) -> dict[str, list[Judged]]:
    """By node; of those that did not say anything now, by what they said last."""
    before = last_facts(setup, [entry for entry in entries if entry.name not in facts])
    found = {}
    for entry in entries:
        if entry.name in facts:
            found[entry.name] = judge(facts[entry.name])
        elif entry.name in before:
            last, seen_at = before[entry.name]
            found[entry.name] = judge(last, seen_at=seen_at)
    return found


def _is_unfit(answer: Answer[LoadPlan]) -> bool:
    """Whether what is told of the node anyway is that no image is for its CPU."""
    problems = [] if answer.value is None else [each.code for each in answer.value.problems]
    if answer.problem is not None:
        problems.append(answer.problem.code)
    return not {"archive.platform", "image.platform"}.isdisjoint(problems)


def tell_unverified(indexes: Sequence[ArchiveIndex]) -> None:
    """Say which archives may still turn out to be damaged. Raises ProblemError `archive.*`."""
    cache = verified_cache()
    for index in indexes:
        if lacking := cache.unverified(index):
            name = Path(index.path).name
            files = len(lacking & {file.sha256 for file in index.files})
            counts = ((len(lacking) - files, "layer"), (files, "file"))
            many = " and ".join(plural(count, what) for count, what in counts if count)
            say(f"{name}: the contents of {many} were not verified; a push does that as it sends")


def check(
    setup: Setup,
    entries: Sequence[NodeEntry],
    indexes: Sequence[ArchiveIndex],
    *,
    make_room: bool,
    sites: dict[str, SiteStatus] | None = None,
    facts: dict[str, NodeFacts] | None = None,
) -> list[Answer[LoadPlan]]:
    """Each node's plan, with or without the word to remove images; nothing changes.

    `sites` gets the site side of those that have a site, `facts` what the nodes say of themselves.
    """
    limit = RateLimit(None)

    async def ask(entry: NodeEntry, client: NodeClient) -> LoadPlan:
        def seen(said: NodeFacts) -> None:
            if facts is not None:
                facts[entry.name] = said

        push = Push(
            client, indexes, limit=limit, make_room=make_room, on_facts=seen, random=jitter()
        )
        if sites is not None and LABEL in entry.labels:
            sites[entry.name] = await client.sites.status()
        return await push.check()

    return ask_nodes(setup, entries, ask)
