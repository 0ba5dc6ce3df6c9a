"""Whether images can run, in words: a column, a table of GPUs, and the reasons under them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from agent.protocol.compatibility import Ability
from console.cli.output import say
from console.cli.table import NODE, Cell, Column, Row
from console.images.judging import Judged, deciding
from console.images.runs_words import WORDS
from console.text import age, plural

RUNS = Column("RUNS", keep=8)
GPU_COLUMNS = (
    NODE,
    Column("IMAGE", least=16),
    Column("GPU"),
    Column("NAME", keep=6, least=12),
    Column("RUNS"),
    Column("WHY", least=20),
)
_BEFORE = {
    "warns": "warning",
    "unknown": "not known whether it runs",
    "fails": "cannot run",
}
NAMED = 12  # nodes that a line names

Verdicts = Mapping[str, Sequence[Judged]]  # by node


def cell(judged: Judged) -> Cell:
    """The word, and how old the facts are that it was found by."""
    word = WORDS[judged.verdict.ability]
    if judged.seen_at is None:
        return Cell(word, word)
    old = age(time.time() - judged.seen_at)
    return Cell(f"{word} (as of {old} ago)", f"{word} {old} ago")


def gpu_rows(verdicts: Verdicts) -> list[Row]:
    """A row for each GPU and image."""
    return [
        (
            node,
            judged.image,
            str(gpu.index),
            gpu.name,
            WORDS[gpu.ability],
            " ".join(reason.what for reason in gpu.reasons),
        )
        for node, several in verdicts.items()
        for judged in several
        for gpu in judged.verdict.gpus
    ]


def tell_verdicts(verdicts: Verdicts) -> bool:
    """Say each reason once, with the nodes that it holds for; whether an image cannot run."""
    nodes: dict[tuple[Ability, str, str, str], list[str]] = {}
    for node, several in verdicts.items():
        for judged in several:
            for reason in deciding(judged.verdict):
                key = (reason.ability, judged.image, reason.what, reason.mend)
                nodes.setdefault(key, []).append(node)
    for (ability, image, what, mend), names in sorted(
        nodes.items(), key=lambda each: list(_BEFORE).index(each[0][0]), reverse=True
    ):
        say(f"{_BEFORE[ability]}: {_named(names)}: {image}: {what}")
        say(f"hint: {mend}")
    return any_fails(verdicts)


def any_fails(verdicts: Verdicts) -> bool:
    """Whether an image cannot run somewhere."""
    return any(
        judged.verdict.ability == "fails" for several in verdicts.values() for judged in several
    )


def warnings_of(several: Sequence[Judged]) -> list[str]:
    """A line for each image that cannot run there, for who sends it nevertheless."""
    return [
        f"cannot run {judged.image}: {reason.what} {reason.mend}"
        for judged in several
        if judged.verdict.ability == "fails"
        for reason in deciding(judged.verdict)[:1]
    ]


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {plural(more, 'more node')}" if more > 0 else shown
