"""`roost workload apply`: have nodes run the services of a Compose file."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Literal

import click
import msgspec

from agent.protocol.deployments import ApplyRequest, DeployOptions, DeployPlan
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import Problem, ProblemError
from console.cli.consent import consent
from console.cli.deploying import (
    Following,
    check_option,
    confirm_options,
    problem_of,
    unconfirmed,
)
from console.cli.options import json_option, yes_option
from console.cli.output import print_json, say
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Column, Row, print_table
from console.cli.workload_options import Asked, compose_arguments, read_workloads, tell_problems
from console.fleet.inventory import NodeEntry
from console.fleet.plan_words import plan_lines
from console.link.client import NodeClient
from console.text import clean

COLUMNS = (NODE, Column("RESULT"), Column("WORKLOAD", least=12), Column("WHAT", least=16))
NODES_NAMED = 20


class PlanRecord(msgspec.Struct, kw_only=True):
    """A node as `--check --json` prints it."""

    node: str
    plan: DeployPlan | None = None
    problem: Problem | None = None


class ApplyRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it."""

    node: str
    # "unchanged": all runs as said; "unconfirmed": it waits for a person; "refused": by its plan.
    result: Literal["done", "unchanged", "unconfirmed", "refused", "failed"]
    job: str | None = None
    workloads: dict[str, str] = {}  # what was seen of each, in words
    problem: Problem | None = None


@click.command("apply")
@compose_arguments
@confirm_options
@check_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    *,
    asked: Asked,
    confirm: Literal["auto", "manual"],
    confirm_within: float,
    check: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Have nodes run the services of a Compose file. You see first what happens on each.

    Workloads that run as said already are left alone, and so are those that are not in FILE.
    Several files are merged as Compose does it: a later one goes before an earlier one. All of a
    node's workloads change, or none: where one does not start, is not well or does not see its
    GPUs, what ran before runs again. A node that cannot do it keeps no other node up.
    Variables come from where `workload check` has them.

    \b
      roost workload apply app.yaml --to @cam-01 --check
      roost workload apply app.yaml --to site=plant-7 --set VERSION=2.4.1
    """
    entries, found = read_workloads(setup, asked)
    if tell_problems(found):
        say("nothing was done")
        return 1
    options = DeployOptions(confirm=confirm, confirm_within=confirm_within)
    requests = {
        node.node: ApplyRequest(
            release=node.project, workloads=list(node.workloads), options=options
        )
        for node in found
    }
    plans = ask_nodes(
        setup, entries, lambda entry, client: client.workloads.plan_apply(requests[entry.name])
    )
    if check:
        return _check(plans, as_json=as_json)
    setup.refuse_changes("workload apply")
    _tell(plans)
    ready = [plan.entry for plan in plans if plan.value and _changes(plan.value)]
    consent(ready, "apply " + ", ".join(file.name for file in asked.files), yes=yes)
    following = Following()

    async def apply(entry: NodeEntry, client: NodeClient) -> Job:
        job = await client.workloads.apply(requests[entry.name], secrets.token_hex(16))
        return await following.see(entry.name, client, job, manual=confirm == "manual")

    with following.told():
        done = {answer.entry.name: answer for answer in ask_nodes(setup, ready, apply)}
    records = [_record(plan, done.get(plan.entry.name), following) for plan in plans]
    if as_json:
        print_json(records)
    else:
        print_table(COLUMNS, [row for record in records for row in _rows(record)])
    for record in records:
        if record.result == "unconfirmed":
            say(unconfirmed(record.node, next(iter(record.workloads)), confirm_within))
    return conclude(
        [
            Answer(
                plan.entry,
                problem=None
                if record.problem is None
                else ProblemError.from_problem(record.problem),
            )
            for plan, record in zip(plans, records, strict=True)
        ]
    )


def _check(plans: Sequence[Answer[DeployPlan]], *, as_json: bool) -> int:
    if as_json:
        print_json(
            [
                PlanRecord(
                    node=plan.entry.name,
                    plan=plan.value,
                    problem=None if plan.problem is None else plan.problem.problem(),
                )
                for plan in plans
            ]
        )
    else:
        for line in _lines(plans):
            click.echo(clean(line))
    code = conclude(plans)
    return code or int(any(plan.value is not None and plan.value.problems for plan in plans))


def _tell(plans: Sequence[Answer[DeployPlan]]) -> None:
    for line in _lines(plans):
        say(line)


def _lines(plans: Sequence[Answer[DeployPlan]]) -> Iterator[str]:
    """The plans in words, nodes with the same one together."""
    nodes: dict[tuple[str, ...], list[str]] = {}
    for plan in plans:
        if plan.value is not None:
            nodes.setdefault(tuple(map(str, plan_lines(plan.value))), []).append(plan.entry.name)
    for lines, names in nodes.items():
        more = f" and {len(names) - NODES_NAMED} more" if len(names) > NODES_NAMED else ""
        yield f"{', '.join(names[:NODES_NAMED])}{more}:"
        yield from (f"  {line}" for line in lines)


def _changes(plan: DeployPlan) -> bool:
    return not plan.problems and any(each.action != "keep" for each in plan.workloads)


def _record(
    plan: Answer[DeployPlan], done: Answer[Job] | None, following: Following
) -> ApplyRecord:
    node = plan.entry.name
    problem = plan.problem if done is None else done.problem
    job = following.jobs.get(node)
    if problem is not None:
        return ApplyRecord(
            node=node,
            result="failed",
            job=None if job is None else job.id,
            problem=problem.problem(),
        )
    planned = plan.value or DeployPlan(release="", workloads=[])
    if planned.problems:
        return ApplyRecord(node=node, result="refused", problem=planned.problems[0])
    kept = {each.name: "as it was" for each in planned.workloads if each.action == "keep"}
    if done is None or done.value is None:
        return ApplyRecord(node=node, result="unchanged", workloads=kept)
    job = done.value
    if job.state not in ENDED:
        begun = {each.name: "runs" for each in planned.workloads if each.action != "keep"}
        return ApplyRecord(node=node, result="unconfirmed", job=job.id, workloads={**begun, **kept})
    skipped = problem_of(job)
    if skipped is not None:
        return ApplyRecord(node=node, result="failed", job=job.id, problem=skipped.problem())
    return ApplyRecord(node=node, result="done", job=job.id, workloads={**dict(job.result), **kept})


def _rows(record: ApplyRecord) -> list[Row]:
    if not record.workloads:
        return [(record.node, record.result, "", "")]
    return [
        (record.node, record.result, name, what or "runs")
        for name, what in record.workloads.items()
    ]
