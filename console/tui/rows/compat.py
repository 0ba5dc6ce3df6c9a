"""Whether images run on nodes, as rows: a column for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from agent.protocol.compatibility import ABILITIES, Ability, Found, ImageNeeds
from agent.rules.versions import numbers
from console.fleet.picture import NodeView
from console.images.runs_words import WORDS
from console.tui.compat import Compat, architecture_of
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.matrix import NodeHead
from console.tui.subjects import Subject

COLUMNS = (
    Column("image", "IMAGE", (16, 18, 30, 40)),
    Column("runs", "RUNS", (4, 5, 7, 7), "right", largest_first=True),
    Column("fails", "NOT", (3, 3, 3, 3), "right", largest_first=True),
    Column("cuda", "CUDA", (0, 5, 5, 6), largest_first=True),
    Column("tensorrt", "TENSORRT", (0, 0, 0, 8), largest_first=True),
    Column("on", "ON", (0, 0, 4, 4), "right", largest_first=True),
)
"""Those that stay where they are; the nodes' come behind them."""

TONES: Mapping[Ability, str] = {"runs": "good", "warns": "warn", "unknown": "", "fails": "bad"}
# What is looked for is at the top.
_SORTS: Mapping[Ability, int] = {"fails": 4, "unknown": 3, "warns": 2, "runs": 1}
_UNKNOWN = "?"
_ASKING = Cell("...", "dim", data="not asked yet")
_OTHER = Cell("-", "dim", sort=0, data="the archive has none of that name for that CPU")
_NOBODY = Cell(_UNKNOWN, "warn", sort=3, wide="unknown", data="nobody could say what it needs")
_NO_FACTS = Cell(_UNKNOWN, "warn", sort=3, wide="unknown", data="the node never said what it is")


def node_head(view: NodeView) -> NodeHead:
    """As the node is now; its age is that of what is known of it."""
    age = view.age_seconds() if view.state != "live" else None
    known = bool(view.sections.get("facts"))
    return NodeHead(view.name, view.entry.production, known, "" if age is None else words.age(age))


class _Side:
    """What does not differ from image to image, of one node: there are many images."""

    def __init__(self, compat: Compat, view: NodeView) -> None:
        self.name = view.name
        self.architecture = architecture_of(view)
        self.has_facts = bool(view.sections.get("facts"))
        self.abilities = compat.abilities(view)
        age = node_head(view).age
        # Seconds stand in the head only: in a cell of every row they cost a slow line too much.
        shown = "" if age.endswith("s") else age
        self.cells = {ability: _cell(ability, shown, old=bool(age)) for ability in ABILITIES}

    def fares(self, compat: Compat, subject: Subject) -> tuple[Ability | None, Cell]:
        """How the image fares there, and what the cell says."""
        if not self.has_facts:
            return None, _NO_FACTS
        judge = compat.judge_of(subject, self.name, self.architecture)
        if judge is not None:
            ability = self.abilities.get(judge)
            return ability, _ASKING if ability is None else self.cells[ability]
        if subject.path is not None:
            return None, _OTHER
        problem = compat.problems.get(subject.on(self.name, self.architecture).digest)
        return None, _ASKING if problem is None else _NOBODY


@lru_cache(maxsize=512)
def _cell(ability: Ability, age: str, *, old: bool) -> Cell:
    word, short = WORDS[ability], _UNKNOWN if ability == "unknown" else WORDS[ability]
    wide = f"{word} {age}".rstrip()
    return Cell(
        short,
        "dim" if old and ability == "runs" else TONES[ability],
        sort=_SORTS[ability],
        wide=wide if wide != short else None,
        data=f"{word} as of {age} ago" if age else word,
    )


def compat_rows(
    compat: Compat,
    subjects: Iterable[Subject],
    views: Sequence[NodeView],
    heads: Sequence[NodeHead],
) -> list[Row]:
    """A row for each image. It counts all `views`; the `heads` are those that have a column."""
    shown = {head.name for head in heads}
    sides = [_Side(compat, view) for view in views]
    rows = []
    for subject in subjects:
        found = [side.fares(compat, subject) for side in sides]
        cells = [cell for side, (_, cell) in zip(sides, found, strict=True) if side.name in shown]
        rows.append(_row(compat, subject, [ability for ability, _ in found], cells))
    return rows


def _row(
    compat: Compat,
    subject: Subject,
    abilities: Sequence[Ability | None],
    cells: Sequence[Cell],
) -> Row:
    runs = sum(ability in {"runs", "warns"} for ability in abilities)
    fails = abilities.count("fails")
    needs = compat.needs_of(subject)
    on = len(subject.nodes)
    fixed = (
        Cell(title_of(subject), "" if subject.path is None else "accent", sort=subject.title),
        Cell(str(runs), "good" if runs == len(abilities) else "", runs, f"{runs}/{len(abilities)}"),
        Cell(str(fails) if fails else "", "bad", sort=fails),
        _version(needs.cuda if needs is not None else None, needs),
        _version(needs.tensorrt if needs is not None else None, needs),
        Cell(str(on) if on else "file", "dim", sort=on),
    )
    told = sorted({WORDS[ability] for ability in abilities if ability is not None})
    find = " ".join([fixed[0].text, *told, fixed[3].text])
    return make_row(subject.key, "", (*fixed, *cells), find=find)


def title_of(subject: Subject) -> str:
    """What it is called in tables."""
    return subject.title if subject.path is None else f"{subject.title} (file)"


def _version(found: Found | None, needs: ImageNeeds | None) -> Cell:
    if found is None:
        return Cell("" if needs is not None else words.UNKNOWN, "dim")
    parts = numbers(found.version) or ()
    short = ".".join(map(str, parts[:2])) or found.version
    order = sum(part / 1000**n for n, part in enumerate(parts[:3]))
    return Cell(short, sort=order, wide=found.version, data=found.version)
