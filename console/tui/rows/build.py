"""How far a build is, as lines to read."""

from __future__ import annotations

import time

from agent.protocol.jobs import ENDED, Job
from console.engines.build_times import BUILDING, EarlierBuild, seconds_left, stage_done
from console.engines.words import short_key, tensorrt
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.widgets.page import Entry

_LABEL = 10
_BAR = 40
_FROM_END = 10  # what the page has beside the bar
PHASES = ("looking", BUILDING, "keeping")
_SOON_SECONDS = 5.0


def build_entries(
    job: Job,
    before: EarlierBuild | None,
    width: int,
    glyphs: Glyphs,
    clock_offset_seconds: float = 0.0,
) -> list[Entry]:
    """Phases, a bar, and how long it will take; nothing of one that has ended."""
    if job.state in ENDED:
        return []
    entries = [_entry("phases", _phases(job, glyphs), "accent")]
    share = stage_done(job)
    if share is not None:
        entries.append(_entry("done", bar(share, width - _LABEL - _FROM_END, glyphs)))
    entries.append(_entry("left", _left(job, before, clock_offset_seconds)))
    return entries


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """ "████▁▁▁▁ 50%"; `width` is of the bar alone, and at most 40."""
    cells = max(1, min(_BAR, width))
    full = int(share * cells)
    levels = glyphs.levels
    return f"{levels[-1] * full}{levels[0] * (cells - full)} {int(100 * share)}%"


def _phases(job: Job, glyphs: Glyphs) -> str:
    """Those that are behind it, then the one that it is in: it has what an agent tells."""
    stage = job.stage or job.state
    passed = list(PHASES[: PHASES.index(stage)]) if stage in PHASES else []
    later = list(PHASES[len(passed) + 1 :]) if stage in PHASES else []
    parts = [*(f"{name} (done)" for name in passed), f"[{stage}]", *later]
    return f" {glyphs.crumb} ".join(parts)


def _left(job: Job, before: EarlierBuild | None, offset: float) -> str:
    """From an earlier build with the same key parts."""
    if before is None:
        return "not known: none was built alike (recipe, TensorRT, GPU)"
    engine = before.engine
    ago = words.age(max(0.0, time.time() - engine.manifest.built_at))
    source = (
        f"{short_key(engine.manifest.key)} took {words.age(before.seconds)} on {before.node}"
        f" {ago} ago, with {tensorrt(engine)}"
    )
    now = time.time() + offset  # by the node's clock
    left = seconds_left(job, before, running_seconds=now - (job.started_at or now))
    if left is None:
        return f"the building takes about {words.age(before.seconds)}: {source}"
    about = "a few seconds" if left < _SOON_SECONDS else f"about {words.age(left)}"
    return f"{about} of building: {source}"


def _entry(label: str, text: str, tone: str = "") -> Entry:
    return Entry(f" {label:<{_LABEL}}", text, tone)
