"""A plan for people: how it goes out, a row for each workload of each node, and who cannot."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from agent.protocol.deployments import PlannedWorkload
from agent.protocol.problems import ProblemError
from console.cli.table import NODE, UNKNOWN, Cell, Column, Row, fit
from console.fleet.plan_words import plan_lines
from console.rollouts.needed_engines import NeededEngine
from console.rollouts.needs import NodeNeeds
from console.rollouts.record import Rollout, RolloutNode
from console.rollouts.words import how_lines, left_out_lines
from console.text import age, plural, size

NAMED = 8
# So many sorts of nodes are described step by step.
SORTS = 3
_TELLING = ("note", "lost")
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


def plan_text(
    rollout: Rollout,
    said: Said,
    *,
    limit: int,
    steps: bool = False,
    notes: Sequence[str] = (),
) -> Iterator[str]:
    """The lines, of at most `limit` cells.

    With `steps` what happens in turn on each sort of node, however many there are. `notes` are said
    after how it goes out.
    """
    for line in _lines(rollout, said, limit=limit, steps=steps, notes=notes):
        if len(line) <= limit:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(line, limit, subsequent_indent=f"{indent}  ")


def _lines(
    rollout: Rollout, said: Said, *, limit: int, steps: bool, notes: Sequence[str]
) -> Iterator[str]:
    yield f"rollout {rollout.id}: {rollout.release}, version {rollout.version}"
    yield from (f"  {line}" for line in how_lines(rollout))
    yield from (f"  {line}" for line in notes)
    able = [node for node in rollout.nodes if node.stage != "cannot"]
    for wave in range(rollout.waves):
        names = [node.name for node in able if node.wave == wave]
        yield f"wave {wave + 1}, {plural(len(names), 'node')}: {_named(names)}"
    yield from left_out_lines(rollout)
    yield from fit(
        COLUMNS,
        [row for node in able for row in _rows(node.name, node.wave, said.get(node.name))],
        limit,
    )
    yield from _total([said.get(node.name) for node in able])
    yield from _details(able, said, steps=steps)
    for node in rollout.nodes:
        if node.stage == "cannot":
            yield f"{node.name} cannot take it: {node.why}"


def _details(nodes: Sequence[RolloutNode], said: Said, *, steps: bool) -> Iterator[str]:
    """What happens in turn; of many sorts of nodes only what somebody has to know."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for node in nodes:
        alike.setdefault(_on_node(said.get(node.name), telling=False), []).append(node.name)
    if len(alike) > SORTS and not steps:
        yield f"what happens in turn differs, in {len(alike)} ways: --steps says how"
        alike = {}
        for node in nodes:
            alike.setdefault(_on_node(said.get(node.name), telling=True), []).append(node.name)
    for words, names in alike.items():
        if words:
            yield f"{'each node' if len(alike) == 1 else _named(names)}:"
            yield from (f"  {word}" for word in words)


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
                _image(images.get(planned.name, planned.image)),
                (size(needs.send_bytes) if needs.send_bytes else "nothing") if first else "",
                _engine(engines.get(planned.name)),
                _how(planned),
                _down(planned),
            )
        )
    return found


def _image(name: str) -> Cell:
    """The end of a name tells variants apart."""
    return Cell(name, name.rpartition("/")[2])


def _how(planned: PlannedWorkload) -> Cell:
    word = planned.strategy or planned.action
    return Cell(word, word.replace("-then-", ", "))


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


def _on_node(needs: NodeNeeds | ProblemError | None, *, telling: bool) -> tuple[str, ...]:
    """The plan's lines; with `telling` only those that nobody expects."""
    if isinstance(needs, NodeNeeds):
        chosen = [f"{each.workload}: {each.why}" for each in needs.images if each.why]
        lines = [each for each in plan_lines(needs.plan) if not telling or each.part in _TELLING]
        return (*([] if telling else chosen), *map(str, lines))
    why = "" if needs is None else f": {needs.detail}"
    return (f"does not answer now; it is tried when its turn comes{why}",)
