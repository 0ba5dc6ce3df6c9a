"""A rollout in lines: how it is, why a node is as it is, and what the judge says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from console.rollouts.judging.judge import Finding
from console.rollouts.judging.looks import Point
from console.rollouts.judging.words import figure
from console.rollouts.record import Event, Judged, Rollout, RolloutNode
from console.rollouts.waiting import soak_left, waits_for
from console.rollouts.watching import weights_of
from console.rollouts.words import (
    event_line,
    how_lines,
    lost_lines,
    stage_words,
    state_words,
    unsteered_lines,
)
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.moments import moment
from console.tui.rollouts import Followed
from console.tui.rows.rollouts import STATE_TONES, release_words
from console.tui.rows.stages import STAGES, sign_of
from console.tui.widgets.line import Piece
from console.tui.widgets.page import BLANK, Entry

# The worst first.
_TONES = {"fail": "bad", "error": "bad", "inconclusive": "warn", "wait": "", "pass": "good"}
_OLD_LOOK = 30.0  # seconds; nodes are looked at every few of them
_OUTCOME, _KEY, _FIGURE = 12, 22, 9
_NARROW_LINE, _WIDE_LINE, _WIDE = 12, 30, 140


def head_pieces(rollout: Rollout) -> tuple[list[Piece], list[Piece]]:
    """What it is and how far; and at the right end by which rules."""
    left: list[Piece] = [
        (f" {release_words(rollout)}", "accent"),
        ("  ", ""),
        (state_words(rollout), STATE_TONES[rollout.state]),
    ]
    if rollout.state in ("running", "gate", "paused"):
        watched = [node for node in rollout.in_wave() if node.stage == "canary"]
        weights = weights_of(watched, rollout.strategy)
        if watched and len(weights) > 1:
            step = min(rollout.progress.step, len(weights) - 1)
            left.append((f"  at {weights[step]} % ({step + 1} of {len(weights)})", ""))
        soak = soak_left(rollout, time.time())
        if soak is not None:
            left.append((f"  soak {words.age(soak)} left" if soak else "  soaked", ""))
    left.append((f"  for {words.age(max(0.0, time.time() - rollout.since))}", "dim"))
    strategy = rollout.strategy
    window = ", in windows" if strategy.window is not None else ""
    return left, [(f" gate {strategy.gate}{window} ", "dim")]


def wait_pieces(followed: Followed, *, starting: bool) -> list[Piece]:
    """What it waits for, one line; what a person must know comes first."""
    rollout = followed.rollout
    if followed.wishes:
        asked = followed.wishes[0]
        text = f" {asked.wish} by {asked.by} waits for the runner"
        return [(text, "warn"), *_lone(followed, starting=starting)]
    lone = _lone(followed, starting=starting)
    if lone:
        return lone
    if rollout.state == "planned":
        return [(f" a plan by {rollout.owner}: nothing has changed yet; s starts it", "dim")]
    waits = waits_for(rollout, time.time())
    if waits:
        more = f" (and {len(waits) - 1} more: d)" if len(waits) > 1 else ""
        tone = "warn" if rollout.state in ("gate", "paused") else ""
        why = f" {rollout.why}; it" if rollout.state == "paused" and rollout.why else ""
        return [(f"{why} waits: {waits[0]}{more}", tone)]
    return [(f" {rollout.why}" if rollout.why else "", "dim")]


def _lone(followed: Followed, *, starting: bool) -> list[Piece]:
    if starting and not followed.steered and followed.rollout.wants_runner:
        return [(" a runner is starting", "warn")]
    first = next(unsteered_lines(followed.rollout, steered=followed.steered), None)
    if first is None and followed.wishes and not followed.steered:
        first = "nobody steers it"
    return [(f" {first}: y has it steered", "bad")] if first is not None else []


def count_pieces(rollout: Rollout, glyphs: Glyphs) -> list[Piece]:
    """So many nodes in each stage, with its sign and letter: the key to the cells below."""
    counts = rollout.counts()
    pieces: list[Piece] = []
    for stage, look in STAGES.items():
        if stage in counts:
            sign = f"{sign_of(stage, glyphs)}{look.letter}"
            pieces += [(f" {sign}", look.tone), (f" {counts[stage]} {stage} ", "")]
    return pieces


def node_entry(rollout: Rollout, node: RolloutNode, judged: Judged | None) -> Entry:
    """Its name, how it is, for how long, and why."""
    parts = [f"{stage_words(node)} for {words.age(max(0.0, time.time() - node.since))}"]
    parts += lost_lines(rollout, node)
    if node.why:
        parts.append(node.why)
    if node.stage == "canary":
        parts.append(_judged_words(rollout, node, judged))
    if node.alone is not None:
        parts.append("it catches up alone")
    if node.attempt > 1:
        parts.append(f"try {node.attempt}")
    label = f" {node.name}  "
    return Entry(label, "; ".join(parts), STAGES[node.stage].tone, "accent")


def _judged_words(rollout: Rollout, node: RolloutNode, judged: Judged | None) -> str:
    if not rollout.strategy.judges:
        return "no figures are judged"
    if judged is None or judged.deployment != node.deployment:
        return "not looked at yet"
    since = time.time() - judged.at
    old = f", looked at {words.age(since)} ago" if since > _OLD_LOOK else ""
    why = f": {node.judged_why}" if node.judged_why else ""
    return f"judged {node.judged or judged.outcome}{why}{old}"


def judge_lines(judged: Judged, width: int, glyphs: Glyphs) -> list[list[Piece]]:
    """A line for each condition: outcome, candidate against stable, how both were at each look."""
    wide = width >= _WIDE
    cells = _WIDE_LINE if wide else _NARROW_LINE
    lines: list[list[Piece]] = []
    for finding in sorted(judged.findings, key=lambda each: [*_TONES].index(each.outcome)):
        looks = judged.looks.conditions.get(finding.key)
        history = looks.history if looks is not None else ()
        ours, theirs = sparklines(history, cells, glyphs)
        outcome = f"({finding.outcome})" if finding.dry_run else finding.outcome
        pieces: list[Piece] = [
            (f" {outcome:<{_OUTCOME}.{_OUTCOME}} ", _TONES[finding.outcome]),
            (f"{_short(finding.key, _KEY, glyphs):<{_KEY}} ", ""),
        ]
        if finding.candidate is not None or wide:
            pieces += [
                (f"{figure(finding.candidate, finding.unit):>{_FIGURE}} ", "accent"),
                (f"{ours:<{cells}} ", ""),
                (f"{figure(finding.stable, finding.unit):>{_FIGURE}} ", ""),
                (f"{theirs:<{cells}} " if wide else theirs, "dim"),
            ]
        if finding.candidate is None or wide:
            pieces.append((finding.words, "dim"))
        lines.append(pieces)
    return lines


def judge_head(width: int) -> list[Piece]:
    """Over those lines."""
    cells = _WIDE_LINE if width >= _WIDE else _NARROW_LINE
    text = (
        f" {'JUDGED':<{_OUTCOME}} {'CONDITION':<{_KEY}} {'CANDIDATE':>{_FIGURE}} {'':<{cells}}"
        f" {'STABLE':>{_FIGURE}}"
    )
    return [(text, "title")]


def sparklines(history: Sequence[Point], width: int, glyphs: Glyphs) -> tuple[str, str]:
    """The candidate's figure and stable's at the last looks, on one scale; a blank: unknown."""
    shown = history[-width:]
    known = [
        value for point in shown for value in (point.candidate, point.stable) if value is not None
    ]
    if not known:
        return "", ""
    low, high = min(known), max(known)
    top = len(glyphs.levels) - 1

    def sign(value: float | None) -> str:
        if value is None:
            return " "
        # What never differs stays in the middle: it is neither low nor high.
        share = (value - low) / (high - low) if high > low else 0.5
        return glyphs.levels[round(share * top)]

    return "".join(sign(p.candidate) for p in shown), "".join(sign(p.stable) for p in shown)


def node_entries(
    rollout: Rollout, node: RolloutNode, judged: Judged | None, events: Sequence[Event]
) -> list[Entry]:
    """All about one node."""
    entries = [node_entry(rollout, node, judged)._replace(label="")]
    entries.append(Entry("wave        ", f"{node.wave + 1} of {rollout.waves}"))
    if node.deployment is not None:
        entries.append(Entry("deployment  ", node.deployment))
    if node.zone:
        entries.append(Entry("zone        ", node.zone))
    if judged is not None and judged.findings:
        entries += [BLANK, Entry("", f"judged: {judged.outcome}", _TONES[judged.outcome])]
        entries += [_finding_entry(each) for each in judged.findings]
    own = [event for event in events if event.node == node.name]
    if own:
        entries += [BLANK, *(Entry("", event_line(event), "dim") for event in own)]
    return entries


def _finding_entry(finding: Finding) -> Entry:
    shown = ", only shown" if finding.dry_run else ""
    text = f"{finding.key}: {finding.words}"
    return Entry(f"{finding.outcome}{shown}  ", text, "", _TONES[finding.outcome])


def rollout_entries(followed: Followed, glyphs: Glyphs) -> Iterator[Entry]:
    """All about the rollout: what it waits for, how it goes out, what the letters mean."""
    rollout = followed.rollout
    yield Entry("release     ", f"{rollout.release}, version {rollout.version}")
    yield Entry("file        ", rollout.file)
    yield Entry("planned by  ", f"{rollout.owner}, {moment(rollout.created_at)}")
    if rollout.started_by:
        yield Entry("started by  ", rollout.started_by)
    for line in waits_for(rollout, time.time()):
        yield Entry("waits       ", line, "warn")
    for node in rollout.nodes:
        if node.stage == "lost":
            yield Entry(
                "lost        ", f"{node.name}: {'; '.join(lost_lines(rollout, node))}", "bad"
            )
    yield BLANK
    for line in how_lines(rollout):
        yield Entry("", line)
    yield BLANK
    for stage, look in STAGES.items():
        yield Entry(f"{sign_of(stage, glyphs)}{look.letter}  ", stage, "", look.tone)


def _short(text: str, width: int, glyphs: Glyphs) -> str:
    return text if len(text) <= width else text[: width - 1] + glyphs.more
