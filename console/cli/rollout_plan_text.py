"""A plan for people: how it goes out, a row for each workload of each node, and who cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.protocol.deployments import PlannedWorkload
from agent.protocol.problems import ProblemError
from console.cli.table import NODE, UNKNOWN, Column, Row, fit
from console.fleet.plan_words import plan_lines
from console.rollouts.needed_engines import NeededEngine
from console.rollouts.needs import NodeNeeds
from console.rollouts.record import Rollout
from console.rollouts.words import strategy_lines
from console.text import age, plural, size

NAMED = 8
COLUMNS = (
    NODE,
    Column("WAVE", keep=7, right=True),
    Column("WORKLOAD", least=8),
    Column("IMAGE", keep=6, least=12),
    Column("SEND", right=True),
    Column("ENGINE"),
    Column("HOW", least=6),
    Column("DOWN"),
)
Said = Mapping[str, NodeNeeds | ProblemError]


def plan_text(rollout: Rollout, said: Said, *, limit: int) -> Iterator[str]:
    """The lines; `limit` is how many cells one of the table may have."""
    yield f"rollout {rollout.id}: {rollout.release}, version {rollout.version}"
    yield from (f"  {line}" for line in strategy_lines(rollout.strategy, len(rollout.nodes)))
    able = [node for node in rollout.nodes if node.stage != "cannot"]
    for wave in range(rollout.waves):
        names = [node.name for node in able if node.wave == wave]
        yield f"wave {wave + 1}, {plural(len(names), 'node')}: {_named(names)}"
    yield from fit(
        COLUMNS,
        [row for node in able for row in _rows(node.name, node.wave, said.get(node.name))],
        limit,
    )
    yield from _total([said.get(node.name) for node in able])
    alike: dict[tuple[str, ...], list[str]] = {}
    for node in able:
        alike.setdefault(_on_node(said.get(node.name)), []).append(node.name)
    for words, names in alike.items():
        yield f"{'each node' if len(alike) == 1 else _named(names)}:"
        yield from (f"  {word}" for word in words)
    for node in rollout.nodes:
        if node.stage == "cannot":
            yield f"{node.name} cannot take it: {node.why}"


def _rows(name: str, wave: int, needs: NodeNeeds | ProblemError | None) -> list[Row]:
    if not isinstance(needs, NodeNeeds):
        return [(name, str(wave + 1), "no answer", *[UNKNOWN] * 5)]
    engines = {each.workload: each for each in needs.engines}
    images = {each.workload: each.image for each in needs.images}
    found: list[Row] = []
    for planned in needs.plan.workloads:
        first = not found
        found.append(
            (
                name if first else "",
                str(wave + 1) if first else "",
                planned.name,
                images.get(planned.name, planned.image),
                (size(needs.send_bytes) if needs.send_bytes else "nothing") if first else "",
                _engine(engines.get(planned.name)),
                planned.strategy or planned.action,
                _down(planned),
            )
        )
    return found


def _engine(engine: NeededEngine | None) -> str:
    if engine is None:
        return ""
    if engine.build is None:
        return "reuse"
    return "build" if engine.seconds is None else f"build, {age(engine.seconds)}"


def _down(planned: PlannedWorkload) -> str:
    """In a word; the plan's own words say more."""
    return "none" if not planned.downtime or planned.downtime.startswith("none") else "restart"


def _total(needs: Sequence[NodeNeeds | ProblemError | None]) -> Iterator[str]:
    """What goes over the links, and what is built, in all."""
    known = [each for each in needs if isinstance(each, NodeNeeds)]
    sent = [each.send_bytes for each in known if each.send_bytes]
    if sent:
        yield (
            f"to send before compression: {size(sum(sent))} in all, to {plural(len(sent), 'node')}"
        )
    builds = [engine for each in known for engine in each.builds]
    if builds:
        times = [each.seconds for each in builds if each.seconds is not None]
        longest = f"; the longest took {age(max(times))} before" if times else ""
        yield f"to build: {plural(len(builds), 'engine')}{longest}"
    freed = sum(each.frees_bytes for each in known)
    if freed:
        yield f"removed on nodes to make room: {size(freed)} of kept layers and images"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _on_node(needs: NodeNeeds | ProblemError | None) -> tuple[str, ...]:
    if isinstance(needs, NodeNeeds):
        chosen = [f"{each.workload}: {each.why}" for each in needs.images if each.why]
        return (*chosen, *map(str, plan_lines(needs.plan)))
    why = "" if needs is None else f": {needs.detail}"
    return (f"does not answer now; it is tried when its turn comes{why}",)
