"""Rollouts as rows, and which of them need a person."""

from __future__ import annotations

import time

from console.rollouts.record import ENDED, Rollout, State
from console.rollouts.waiting import waits_for
from console.rollouts.words import count_words, state_words, unsteered_lines
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rollouts import Rollouts
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.stages import STAGES, stage_bar

COLUMNS = (
    Column("rollout", "ROLLOUT", (8, 8, 8, 8)),
    Column("release", "RELEASE", (10, 14, 24, 28)),
    Column("state", "STATE", (13, 13, 20, 20)),
    Column("bar", "NODES", (8, 12, 12, 12), largest_first=True),
    Column("counts", "", (0, 15, 26, 36), grow=9),
    Column("runner", "RUNNER", (0, 0, 8, 8)),
    Column("owner", "BY", (0, 0, 0, 14)),
    Column("since", "FOR", (3, 3, 3, 4)),
    Column("reason", "WAITS", (0, 0, 0, 50), grow=80),
)
BAR_CELLS = 12
STATE_TONES: dict[State, str] = {
    "planned": "dim",
    "running": "accent",
    "gate": "warn",
    "paused": "warn",
    "reverting": "warn",
    "done": "good",
    "failed": "bad",
    "aborted": "warn",
    "undone": "warn",
}
# A person is to do something.
CALLING: frozenset[State] = frozenset({"paused", "gate", "failed"})
_RANKS: dict[State, int] = {"gate": 0, "paused": 0, "running": 1, "reverting": 1, "planned": 2}


def release_words(rollout: Rollout) -> str:
    """`app@2c2cc523`."""
    return f"{rollout.release}@{rollout.version[:8]}"


def calls_of(rollout: Rollout) -> dict[str, str]:
    """What a person is to see to, in words by what tells it apart from what was so before."""
    found: dict[str, str] = {}
    if rollout.state in CALLING:
        why = f": {rollout.why}" if rollout.why else ""
        asks = {"gate": "waits to be promoted", "paused": "is paused", "failed": "has failed"}
        text = f"{rollout.id} {asks[rollout.state]}{why}"
        found[f"{rollout.id} {rollout.state} {rollout.since}"] = text
    for node in rollout.nodes:
        if node.stage == "stuck":
            key = f"{rollout.id} {node.name} {node.since}"
            found[key] = f"{rollout.id}: {node.name} is stuck: {node.why}"
    return found


def runner_words(board: Rollouts, rollout: Rollout) -> tuple[str, str]:
    """Whether a runner is at work, and its tone; empty where none is needed."""
    if not rollout.wants_runner:
        return "", ""
    if rollout.id in board.steered:
        return "at work", "good"
    return ("starting", "warn") if board.is_starting(rollout.id) else ("nobody", "bad")


def reason_words(board: Rollouts, rollout: Rollout) -> str:
    """What it waits for, or why it is as it is; that nobody steers it comes first."""
    runner = runner_words(board, rollout)[0]
    lone = list(unsteered_lines(rollout, steered=runner != "nobody"))[:1]
    waits = [f"waits: {line}" for line in waits_for(rollout, time.time())]
    if rollout.state == "planned":
        waits = ["it is a plan: s starts it"]
    why = [rollout.why] if rollout.why and (rollout.state in ENDED or not waits) else []
    return "; ".join([*lone, *waits[:2], *why])


def rollout_rows(board: Rollouts, glyphs: Glyphs) -> list[Row]:
    """One for each, the newest first."""
    return [_row(board, rollout, glyphs) for rollout in board.listed]


def _row(board: Rollouts, rollout: Rollout, glyphs: Glyphs) -> Row:
    state = rollout.state
    moving = state in ("running", "gate", "paused")
    short = f"{state} {rollout.wave + 1}/{rollout.waves}" if moving else state
    counts = rollout.counts()
    told = [f"{counts[stage]} {stage}" for stage in STAGES if stage in counts]
    done = counts.get("done", 0) / max(1, len(rollout.nodes))
    runner, tone = runner_words(board, rollout)
    reason = reason_words(board, rollout)
    cells = (
        Cell(rollout.id, "accent", sort=rollout.id),
        Cell(release_words(rollout), sort=rollout.release),
        Cell(
            short,
            STATE_TONES[state],
            sort=_RANKS.get(state, 3) * 1e11 - rollout.since,
            wide=state_words(rollout),
            data=state,
        ),
        Cell(stage_bar(rollout, BAR_CELLS, glyphs), sort=done),
        Cell(", ".join(told), sort=float(len(rollout.nodes)), data=count_words(rollout)),
        Cell(runner, tone, sort=runner),
        Cell(rollout.owner, "dim", sort=rollout.owner),
        Cell(words.age(max(0.0, time.time() - rollout.since)), sort=-rollout.since),
        Cell(reason, "bad" if runner == "nobody" else "dim"),
    )
    return make_row(rollout.id, rollout.id, cells, more=rollout.file)
