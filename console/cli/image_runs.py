"""`roost image check IMAGE`: whether an image that nodes have can run on these and on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import msgspec

from agent.protocol.compatibility import ImageNeeds
from agent.protocol.images import NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem, ProblemError
from agent.rules.compatibility import Judge
from agent.rules.tables import read_tables
from console.cli import driver_plan
from console.cli.check_table import short
from console.cli.last_facts import last_facts
from console.cli.nodes import all_nodes, fleet_file
from console.cli.output import NO_LIMIT, print_json, say
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.runs_text import (
    GPU_COLUMNS,
    RUNS,
    Verdicts,
    any_fails,
    cell,
    gpu_rows,
    tell_verdicts,
)
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table
from console.fleet.inventory import NodeEntry
from console.images.holders import Held, for_node, holders
from console.images.judging import TABLES_FILE, Judged
from console.link.client import NodeClient

COLUMNS = (
    NODE,
    Column("IMAGE", least=16),
    RUNS,
    Column("HAS IT", keep=6),
    Column("CUDA", keep=5),
    Column("TENSORRT", keep=4),
)
ASKED = 3  # nodes that are asked to look into one image, where others could not


class RunsRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it; no `runs`: nothing is known of it."""

    node: str
    problem: Problem | None = None
    has: Sequence[str] = ()  # of the images that were asked about
    runs: Sequence[Judged] = ()


class Seen(msgspec.Struct, kw_only=True):
    """What a node said."""

    facts: NodeFacts
    images: list[NodeImage]


def check_names(
    setup: Setup,
    entries: Sequence[NodeEntry],
    names: Sequence[str],
    *,
    wide: bool,
    drivers: bool,
    as_json: bool,
) -> int:
    """The whole command.

    Raises:
        ProblemError: `image.not_found`, no node has one of them; `compatibility.tables`.
    """
    tables = read_tables(fleet_file(setup).parent / TABLES_FILE)
    answers = _ask(setup, entries)
    found = {answer.entry.name: answer.value.images for answer in answers if answer.value}
    held = {name: holders(name, found) for name in names}
    if not all(held.values()):
        asked = {entry.name for entry in entries}
        others = [entry for entry in all_nodes(setup) if entry.name not in asked]
        found |= {
            answer.entry.name: answer.value.images for answer in _ask(setup, others) if answer.value
        }
        held = {name: several or holders(name, found) for name, several in held.items()}
    for name, several in held.items():
        if not several:
            raise _not_found(name, asked=len(found))
        if len(several) > 1:
            say(f"{name} is {len(several)} different images: each node is judged by its own")
    needs = _needs(setup, [each for several in held.values() for each in several])
    judges = {digest: Judge(each, tables) for digest, each in needs.items()}
    facts = _facts(setup, answers)
    verdicts = _verdicts(facts, held, judges)
    if as_json:
        print_json([_record(answer, held, verdicts) for answer in answers])
        fails = any_fails(verdicts)
    else:
        print_table(COLUMNS, [row for answer in answers for row in _rows(answer, held, verdicts)])
        if wide and (rows := gpu_rows(verdicts)):
            click.echo()
            print_table(GPU_COLUMNS, rows, limit=NO_LIMIT)
        if drivers:
            known = {node: said for node, (said, _) in facts.items()}
            click.echo()
            print_table(driver_plan.COLUMNS, driver_plan.rows(verdicts, known, tables))
        fails = tell_verdicts(verdicts)
    return conclude(answers) or int(fails)


def _ask(setup: Setup, entries: Sequence[NodeEntry]) -> list[Answer[Seen]]:
    async def ask(_: NodeEntry, client: NodeClient) -> Seen:
        return Seen(facts=await client.node(), images=await client.images())

    return ask_nodes(setup, entries, ask)


def _needs(setup: Setup, held: Sequence[Held]) -> dict[str, ImageNeeds]:
    """By digest. Each image is looked into on one of the nodes that have it."""
    entries = {entry.name: entry for entry in all_nodes(setup)}
    wanted = {each.digest: each for each in held}
    found: dict[str, ImageNeeds] = {}
    problems: dict[str, ProblemError] = {}
    for turn in range(ASKED):
        at: dict[str, list[str]] = {}  # by node
        for digest, each in wanted.items():
            if digest not in found and turn < len(each.nodes):
                at.setdefault(each.nodes[turn], []).append(digest)

        async def ask(
            entry: NodeEntry, client: NodeClient, at: Mapping[str, list[str]] = at
        ) -> dict[str, ImageNeeds]:
            return {
                digest: await client.image_needs(wanted[digest].image.id, inside=True)
                for digest in at[entry.name]
            }

        for answer in ask_nodes(setup, [entries[node] for node in at], ask):
            found |= answer.value or {}
            if answer.problem is not None:
                problems[answer.entry.name] = answer.problem
    for digest, each in wanted.items():
        if digest not in found:
            raise problems[each.nodes[0]]
    return found


def _facts(
    setup: Setup, answers: Sequence[Answer[Seen]]
) -> dict[str, tuple[NodeFacts, float | None]]:
    """By node; and when that was true, where it is not of now."""
    before = last_facts(setup, [answer.entry for answer in answers if answer.value is None])
    found: dict[str, tuple[NodeFacts, float | None]] = {}
    for answer in answers:
        if answer.value is not None:
            found[answer.entry.name] = answer.value.facts, None
        elif answer.entry.name in before:
            found[answer.entry.name] = before[answer.entry.name]
    return found


def _verdicts(
    facts: Mapping[str, tuple[NodeFacts, float | None]],
    held: Mapping[str, Sequence[Held]],
    judges: Mapping[str, Judge],
) -> dict[str, list[Judged]]:
    verdicts: dict[str, list[Judged]] = {}
    for node, (said, seen_at) in facts.items():
        for name, several in held.items():
            chosen = for_node(node, said.host.architecture, several)
            judge = judges[chosen.digest]
            judged = Judged(
                image=name,
                digest=chosen.digest,
                needs=judge.needs,
                verdict=judge(said),
                seen_at=seen_at,
            )
            verdicts.setdefault(node, []).append(judged)
    return verdicts


def _record(
    answer: Answer[Seen], held: Mapping[str, Sequence[Held]], verdicts: Verdicts
) -> RunsRecord:
    node = answer.entry.name
    return RunsRecord(
        node=node,
        problem=answer.problem.problem() if answer.problem else None,
        has=[name for name, several in held.items() if any(node in each.nodes for each in several)],
        runs=verdicts.get(node, ()),
    )


def _rows(
    answer: Answer[Seen], held: Mapping[str, Sequence[Held]], verdicts: Verdicts
) -> list[Row]:
    node = answer.entry.name
    judged = {each.image: each for each in verdicts.get(node, ())}
    rows: list[Row] = []
    for name, several in held.items():
        one = judged.get(name)
        here = [each for each in several if node in each.nodes]
        has = UNKNOWN if answer.value is None else short(here[0].digest) if here else "no"
        if one is None:
            rows.append((node, name, UNKNOWN, has, "", ""))
            continue
        needs = one.needs
        rows.append(
            (
                node,
                name,
                cell(one),
                has,
                needs.cuda.version if needs.cuda else "",
                needs.tensorrt.version if needs.tensorrt else "",
            )
        )
    return rows


def _not_found(name: str, *, asked: int) -> ProblemError:
    return ProblemError(
        "image.not_found",
        f"none of the {asked} nodes that answered has an image {name!r}",
        params={"image": name},
        hint="See those they have: roost image ls. An archive is named by its path.",
    )
