"""How a rollout's nodes look: a sign, a letter and a tone for each stage. The word is never far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from console.rollouts.record import Rollout, RolloutNode, Stage
from console.tui.look.glyphs import Glyphs


class StageLook(NamedTuple):
    """`sign` is one cell wide; `plain` is for terminals that know ASCII only."""

    sign: str
    plain: str
    letter: str
    tone: str


# In the order in which they are told.
STAGES: Mapping[Stage, StageLook] = {
    "done": StageLook("●", "#", "D", "good"),
    "confirming": StageLook("◕", "+", "K", "good"),
    "canary": StageLook("◐", "%", "C", "accent"),
    "applying": StageLook("◔", "~", "A", "accent"),
    "preparing": StageLook("↓", "v", "F", "accent"),  # it fetches
    "prepared": StageLook("=", "=", "R", ""),  # it is ready
    "held": StageLook("‖", ":", "H", "warn"),
    "planned": StageLook("·", ".", "P", "dim"),
    "reverting": StageLook("«", "<", "B", "warn"),  # it goes back
    "reverted": StageLook("○", "o", "V", "warn"),
    "offline": StageLook("◌", "-", "O", "warn"),
    "lost": StageLook("?", "?", "L", "bad"),
    "stuck": StageLook("!", "!", "S", "bad"),
    "cannot": StageLook("✗", "x", "N", "warn"),
    "skipped": StageLook("_", "_", "Z", "dim"),
}
# What a person may have to see to.
TROUBLE: frozenset[Stage] = frozenset(
    {"stuck", "lost", "reverting", "reverted", "cannot", "offline"}
)


def sign_of(stage: Stage, glyphs: Glyphs) -> str:
    """`●`."""
    look = STAGES[stage]
    return look.plain if glyphs.ascii else look.sign


def mark_of(node: RolloutNode, glyphs: Glyphs) -> str:
    """`●D`; `◐C10` of one whose candidate gets 10 % of the requests."""
    weighted = node.stage == "canary" and node.weight is not None
    weight = str(node.weight) if weighted else ""
    return f"{sign_of(node.stage, glyphs)}{STAGES[node.stage].letter}{weight}"


def stage_bar(rollout: Rollout, width: int, glyphs: Glyphs) -> str:
    """So many signs in `width` cells as there are nodes in each stage; each stage has one."""
    counts = rollout.counts()
    total = len(rollout.nodes)
    if not total or width <= 0:
        return ""
    found = [(stage, counts[stage]) for stage in STAGES if stage in counts][:width]
    if total <= width:
        return "".join(sign_of(stage, glyphs) * count for stage, count in found)
    cells = {stage: max(1, count * width // total) for stage, count in found}
    # The largest gives, or gets, what does not come out even.
    while (over := sum(cells.values()) - width) != 0:
        cells[max(cells, key=lambda stage: cells[stage])] -= 1 if over > 0 else over
    return "".join(sign_of(stage, glyphs) * count for stage, count in cells.items())
