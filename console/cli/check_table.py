"""What a push would do on each node, as a table and the reasons under it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.images import Freeable, LoadPlan, PlannedImage, SpaceNeed
from agent.protocol.problems import ProblemError
from console.cli.failures import tell
from console.cli.output import say
from console.cli.run import Answer
from console.cli.runs_text import RUNS, Verdicts, cell
from console.cli.table import NODE, UNKNOWN, Column, Row
from console.text import plural, size

COLUMNS = (
    NODE,
    Column("IMAGE", least=16),
    RUNS,
    Column("WOULD"),
    Column("NOW", keep=4),
    Column("SEND", right=True),
    Column("NEED", keep=7, right=True),
    Column("FREE", keep=6, right=True),
    Column("FREES", keep=5, right=True),
)
_WORDS = {"present": "nothing", "retag": "tag", "load": "load", "place": "place"}


def rows(answers: Sequence[Answer[LoadPlan]], verdicts: Verdicts) -> list[Row]:
    """One row for each image and file on each node; what is of the whole node is in its first."""
    return [row for answer in answers for row in _rows(answer, verdicts)]


def tell_freed(node: str, how: str, frees: Sequence[Freeable]) -> None:
    """Say what is removed to make room; `how` is "would remove" or "removed"."""
    for item in frees:
        if item.kind == "image":
            say(f"{node}: {how} image {item.name} ({size(item.size_bytes)})")
    for kind, what in (("upload", "partly sent layer"), ("blob", "kept layer")):
        kept = [item for item in frees if item.kind == kind]
        if kept:
            total = size(sum(item.size_bytes for item in kept))
            say(f"{node}: {how} {plural(len(kept), what)} ({total})")


def tell_reasons(answers: Sequence[Answer[LoadPlan]]) -> bool:
    """Say what would be removed, and what stands in the way; whether something does."""
    refused = False
    for answer in answers:
        plan = answer.value
        if plan is None:
            continue
        wants = any(problem.params.get("make_room") for problem in plan.problems)
        how = "with --make-room, would remove" if wants else "would remove"
        tell_freed(answer.entry.name, how, plan.frees)
        for problem in plan.problems:
            refused = True
            tell(ProblemError.from_problem(problem), node=answer.entry.name)
    return refused


def _rows(answer: Answer[LoadPlan], verdicts: Verdicts) -> list[Row]:
    plan, node = answer.value, answer.entry.name
    judged = {each.digest: each for each in verdicts.get(node, ())}
    if plan is None:
        rest = (UNKNOWN, "", *[UNKNOWN] * 3, "")
        known: list[Row] = [(node, each.image, cell(each), *rest) for each in judged.values()]
        return known or [(node, UNKNOWN, UNKNOWN, *rest)]
    tight = min(plan.space, key=lambda need: need.free_bytes - need.needed_bytes, default=None)
    lacking = sum(max(0, layer.size_bytes - layer.received_bytes) for layer in plan.wanted)
    freed = sum(item.size_bytes for item in plan.frees)
    each: list[Row] = [
        (
            image.tags[0] if image.tags else short(image.config_digest),
            cell(judged[image.config_digest]) if image.config_digest in judged else UNKNOWN,
            "refused" if plan.problems else _WORDS[image.state],
            _now(image),
        )
        for image in plan.images
    ]
    for planned in plan.files:
        would = "refused" if plan.problems else _WORDS[planned.state]
        each.append((planned.file.title, "", would, "another" if planned.replaces else ""))
    whole = (size(lacking), *_space(tight), size(freed) if freed else "")
    return [(node, *row, *([""] * 4 if place else whole)) for place, row in enumerate(each)]


def _space(need: SpaceNeed | None) -> tuple[str, str]:
    """Of the disk that has the least to spare."""
    return ("-", "-") if need is None else (size(need.needed_bytes), size(need.free_bytes))


def _now(image: PlannedImage) -> str:
    """Which images have these names now, if others do."""
    return ", ".join(short(name) for name in dict.fromkeys(image.replaces.values()))


def short(image_id: str) -> str:
    """An image's id as people write it."""
    return image_id.removeprefix("sha256:")[:12]
