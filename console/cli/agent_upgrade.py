"""`roost agent upgrade`: another version of the agent, wave by wave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import click
import msgspec

from agent.protocol.deployments import DeployPlan
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.signatures import TrustedKey
from console.cli.failures import FAILED
from console.cli.kits import given_kits, kit_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option, yes_option
from console.cli.output import print_json, say, width
from console.cli.rollout_journal import this_journal
from console.cli.rollout_plan import fleet_path
from console.cli.rollout_start import let_out
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, fit
from console.compose.compose_file import read_compose
from console.compose.scalars import duration
from console.fleet.inventory import NodeEntry
from console.fleet.links import stated_owner
from console.kits.reading import Kit
from console.link.client import NodeClient
from console.rollouts.agent_work import check_kit, kit_of
from console.rollouts.judging.analysis import Analysis
from console.rollouts.needs import NodeNeeds
from console.rollouts.planning import plan_rollout
from console.rollouts.record import KitFile, Rollout
from console.rollouts.strategy import Amount, Gate, Strategy
from console.rollouts.strategy_file import read_strategy
from console.rollouts.words import how_lines
from console.text import clean, plural, size

RELEASE = "agent"
# The agent answers, or it does not: what takes longer to show is not the agent's.
SOAK_SECONDS = 60.0
# Three starts of a minute each, and what it takes to go back: then it is lost from sight.
SILENT_SECONDS = 300.0
COLUMNS = (
    NODE,
    Column("WAVE", keep=7, right=True),
    Column("NOW", least=8),
    Column("BECOMES", least=8),
    Column("SEND", right=True),
)


class UpgradePlan(msgspec.Struct, kw_only=True):
    """What `--json` prints: the rollout, and why nodes said nothing or cannot."""

    rollout: Rollout | None
    current: list[str]  # nodes that run it already
    problems: dict[str, Problem]


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = value if isinstance(value, float) else duration(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no time; write 90s or 5m", param, ctx)
        return seconds


class _Amount(click.ParamType[Amount]):
    name = "amount"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Amount:
        found = re.fullmatch(r"([0-9]{1,4})\s?(%?)", str(value))
        if found is None or int(found[1]) == 0 or (found[2] and int(found[1]) > 100):
            self.fail(f"{value!r} is no number of nodes; write 3 or 10%", param, ctx)
        return Amount(percent=float(found[1])) if found[2] else Amount(count=int(found[1]))


@click.command("upgrade")
@click.argument("selector")
@kit_option
@click.option("--soak", type=_Duration(), help="How long each wave is watched; 60s if not given.")
@click.option(
    "--max-unavailable", type=_Amount(), metavar="N|N%", help="So many nodes at a time; else 10%."
)
@click.option(
    "--gate",
    type=click.Choice(["auto", "manual", "approval"]),
    help="Who lets the next wave begin; auto if not given.",
)
@click.option(
    "--like",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="In the waves and windows of this release's x-roost.rollout, telling whom it says.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--attached", is_flag=True, help="Steer it in this process; it ends with it.")
@click.option("--detach", is_flag=True, help="Do not look on.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    selector: str,
    kit_files: tuple[Path, ...],
    *,
    soak: float | None,
    max_unavailable: Amount | None,
    gate: str | None,
    like: Path | None,
    only_plan: bool,
    attached: bool,
    detach: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Have the nodes' agents become the version of a kit: a rollout, in waves.

    On each node the new agent is started on trial, answers through the link, and is kept then. It
    goes back by itself if it does not within a minute or crashes three times. Containers notice
    nothing of it. You need to be an admin there.
    """
    if not only_plan:
        setup.refuse_changes("agent upgrade")
    strategy = _strategy(like, soak, max_unavailable, cast("Gate | None", gate))
    found = {arch: remembered_kit(kit) for arch, kit in given_kits(kit_files).items()}
    entries = selected_nodes(setup, selector)
    answers = ask_nodes(setup, entries, _asked, admin=True)
    said = {answer.entry.name: _judged(answer, found) for answer in answers}
    current = [name for name, each in said.items() if each is None]
    going = [entry for entry in entries if entry.name not in current]
    problems = {name: each for name, each in said.items() if isinstance(each, ProblemError)}
    rollout = None
    if going:
        rollout = plan_rollout(
            going,
            {name: each for name, each in said.items() if each is not None},
            strategy,
            release=RELEASE,
            version=", ".join(sorted({kit.version for kit in found.values()})),
            file=", ".join(kit.path for kit in found.values()),
            owner=stated_owner(),
            fleet=fleet_path(setup),
            zones={
                each.entry.name: each.value[0].host.timezone
                for each in answers
                if each.value is not None
            },
        )
        rollout.kits = list(found.values())
    if as_json:
        told = {name: each.problem() for name, each in problems.items()}
        print_json(UpgradePlan(rollout=rollout, current=current, problems=told))
    else:
        facts = {each.entry.name: each.value[0] for each in answers if each.value is not None}
        for line in _text(rollout, current, facts, found):
            click.echo(clean(line))
        needs = [each for each in said.values() if isinstance(each, NodeNeeds)]
        hints = [problem.hint for each in needs for problem in each.problems if problem.hint]
        for line in dict.fromkeys(hints):
            click.echo(clean(f"  {line}"))
    if rollout is None:
        return 0
    journal = this_journal()
    journal.plan(rollout, {})
    if only_plan:
        say(f"nothing has changed. To let it out: roost rollout start {rollout.id}")
        return FAILED if problems else 0
    return let_out(setup, journal, rollout, attached=attached, detach=detach, yes=yes)


def _strategy(
    like: Path | None, soak: float | None, unavailable: Amount | None, gate: Gate | None
) -> Strategy:
    """What is typed comes before what the file says; what only a release has is left out."""
    strategy = Strategy(soak=SOAK_SECONDS, min_healthy=SOAK_SECONDS)
    if like is not None:
        strategy, problems = read_strategy(read_compose(like))
        if wrong := next((each for each in problems if each.level == "error"), None):
            raise wrong.error()
    soak = strategy.soak if soak is None else soak
    return msgspec.structs.replace(
        strategy,
        soak=soak,
        # The next node need not wait longer for the one before than a wave does.
        min_healthy=min(strategy.min_healthy, soak),
        max_unavailable=unavailable or strategy.max_unavailable,
        gate=gate or strategy.gate,
        weights=(100,),
        analysis=Analysis(conditions=()),  # it answers, or goes back by itself
        confirm_within=SILENT_SECONDS,
    )


def remembered_kit(kit: Kit) -> KitFile:
    """As a rollout keeps it."""
    return KitFile(
        path=str(kit.path.absolute()),
        arch=kit.about.arch,
        id=kit.about.id,
        version=kit.about.version,
        size_bytes=kit.size_bytes,
        sha256=kit.sha256,
        signed_by=None if kit.signer is None else kit.signer.fingerprint,
        pythons=kit.about.pythons,
    )


async def _asked(_: NodeEntry, client: NodeClient) -> tuple[NodeFacts, list[TrustedKey]]:
    """What a node is, and which keys it knows, where it takes only what is signed."""
    facts = await client.node()
    upgrade = facts.agent.upgrade
    wants = upgrade is not None and upgrade.require_signature
    return facts, await client.trusted_keys() if wants else []


def _judged(
    answer: Answer[tuple[NodeFacts, list[TrustedKey]]], kits: Mapping[str, KitFile]
) -> NodeNeeds | ProblemError | None:
    """What the plan goes by; None: it runs that already."""
    needs = NodeNeeds(plan=DeployPlan(release=RELEASE, workloads=[]))
    if answer.value is None:
        return answer.problem
    facts, keys = answer.value
    upgrade = facts.agent.upgrade
    try:
        kit = kit_of(kits, facts)
        if upgrade is not None and upgrade.kit == kit.id and not upgrade.on_trial:
            return None
        if upgrade is not None:
            check_kit(kit, upgrade, keys)
    except ProblemError as problem:
        needs.problems.append(problem.problem())
        return needs
    needs.send_bytes = kit.size_bytes
    return needs


def _text(
    rollout: Rollout | None,
    current: Sequence[str],
    facts: Mapping[str, NodeFacts],
    kits: Mapping[str, KitFile],
) -> Iterator[str]:
    for kit in kits.values():
        by = "nobody has signed it" if kit.signed_by is None else f"signed by {kit.signed_by}"
        yield f"{kit.path}: agent {kit.id} for {kit.arch}, {size(kit.size_bytes)}, {by}"
    if current:
        verb = "runs" if len(current) == 1 else "run"
        yield f"{plural(len(current), 'node')} {verb} it already: {', '.join(current)}"
    if rollout is None:
        return
    yield f"rollout {rollout.id}: {rollout.release}, version {rollout.version}"
    yield from (f"  {line}" for line in how_lines(rollout))
    rows: list[Row] = []
    for node in rollout.nodes:
        if node.stage == "cannot":
            continue
        seen = facts.get(node.name)
        if seen is None:
            rows.append((node.name, str(node.wave + 1), "no answer", *[UNKNOWN] * 2))
            continue
        kit = kit_of(kits, seen)
        now = UNKNOWN if seen.agent.upgrade is None else seen.agent.upgrade.kit
        rows.append((node.name, str(node.wave + 1), now, kit.id, size(kit.size_bytes)))
    yield from fit(COLUMNS, rows, width())
    for node in rollout.nodes:
        if node.stage == "cannot":
            yield f"{node.name} cannot take it: {node.why}"
