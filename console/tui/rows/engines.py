"""TensorRT engines as rows: a model on a node, and each engine of one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agent.protocol.engines import Engine
from agent.protocol.jobs import ENDED, Job
from console.engines.build_times import BUILD_KIND
from console.engines.words import (
    built_for,
    is_outdated,
    milliseconds,
    precision,
    short_key,
    tensorrt,
    tried,
    tuned_latency,
    why_stale,
)
from console.fleet.job_words import WELL_ENDED, doing, short_progress
from console.fleet.picture import NodeView
from console.tui.built import Built
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row, whole_text
from console.tui.rows.fleet import age_cell
from console.tui.rows.jobs import STATE_TONES

COLUMNS = (
    Column("node", "NODE", (11, 11, 16, 20), grow=8),
    Column("model", "MODEL", (12, 12, 16, 24), grow=12),
    Column("state", "STATE", (12, 13, 14, 14)),
    Column("key", "KEY", (0, 8, 12, 12)),
    Column("precision", "PREC", (5, 5, 8, 8)),
    Column("tried", "TRIED", (5, 5, 5, 5)),
    Column("latency", "LATENCY", (0, 7, 12, 12), "right", largest_first=True),
    Column("tensorrt", "TENSORRT", (0, 0, 12, 18)),
    Column("gpu", "FOR", (0, 0, 0, 20)),
    Column("built", "BUILT", (6, 6, 6, 6)),
    Column("size", "SIZE", (0, 0, 5, 6), "right", largest_first=True),
    Column("kept", "KEPT", (0, 0, 0, 4), "right", largest_first=True),
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("reason", "WHY", (0, 0, 0, 30), grow=80),
)

NODE_COLUMNS = (
    Column("key", "KEY", (12, 12, 12, 12)),
    Column("state", "STATE", (11, 11, 11, 11)),
    Column("precision", "PREC", (5, 5, 8, 8)),
    Column("tried", "TRIED", (5, 5, 5, 5)),
    Column("latency", "LATENCY", (0, 7, 12, 12), "right", largest_first=True),
    Column("tensorrt", "TENSORRT", (0, 12, 18, 18)),
    Column("gpu", "FOR", (0, 0, 14, 24), grow=12),
    Column("built", "BUILT", (6, 6, 6, 6)),
    Column("took", "TOOK", (0, 5, 5, 5), "right", largest_first=True),
    Column("size", "SIZE", (5, 5, 5, 6), "right", largest_first=True),
    Column("reason", "WHY", (0, 0, 12, 50), grow=80),
)

_LOUD = 2
_FEW_DIGITS = 8
_TRIED_TONES = {"no": "warn", "loads": "good", "ran": "good"}


def engine_rows(view: NodeView, built: Built) -> list[Row]:
    """A row for each model; its key is "node/model". A node that did not answer has one row."""
    if view.name not in built.said:
        return _away(view, built)
    models = built.models(view.name)
    jobs = build_jobs(view)
    old = view.state != "live" or view.name in built.problems
    # A first build that failed has left no engine, and must be seen all the same.
    unbuilt = {name for name, job in jobs.items() if job.state not in WELL_ENDED}
    return [
        _model_row(view, name, models.get(name, []), jobs.get(name), dim=old)
        for name in sorted(models.keys() | unbuilt)
    ]


def row_subject(row_key: str) -> tuple[str, str]:
    """Node and model; the model is "" in the row of a node that did not answer."""
    node, _, model = row_key.partition("/")
    return node, model


def build_jobs(view: NodeView) -> dict[str, Job]:
    """The newest build of each model that the picture has; one that runs before all others."""
    found: dict[str, Job] = {}
    jobs = [job for job in view.jobs() if job.kind == BUILD_KIND]
    for job in sorted(jobs, key=lambda job: (job.state not in ENDED, job.created_at)):
        found[job.subject] = job
    return found


def in_use(engines: Sequence[Engine]) -> Engine | None:
    """The one that `current` points at; else the newest."""
    return next((each for each in engines if each.current), engines[0] if engines else None)


def node_engine_rows(view: NodeView, engines: Sequence[Engine]) -> list[Row]:
    """A row for each engine of a model; its key is the engine's."""
    return [_engine_row(view, engine) for engine in engines]


def _model_row(
    view: NodeView, model: str, engines: Sequence[Engine], job: Job | None, *, dim: bool
) -> Row:
    engine = in_use(engines)
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        Cell(model, sort=model),
        _state(engine, job),
        *_about(engine),
        *_built(view, engine),
        Cell(str(len(engines)), "dim", sort=len(engines)),
        age_cell(view),
        _why(engine, job),
    )
    key = engine.manifest.key if engine is not None else ""
    return make_row(f"{view.name}/{model}", view.name, cells, dim=dim, loud=_LOUD, more=key)


def _engine_row(view: NodeView, engine: Engine) -> Row:
    built, size = _built(view, engine)
    key, *about = _about(engine)
    seconds = engine.manifest.build_seconds
    took = Cell(words.age(seconds), sort=seconds)
    cells = (key, _standing(engine), *about, built, took, size, _why(engine, None))
    dim = view.state != "live"
    return make_row(engine.manifest.key, view.name, cells, dim=dim, more=engine.manifest.key)


def _state(engine: Engine | None, job: Job | None) -> Cell:
    """What runs before what is."""
    if job is not None and job.state not in ENDED:
        text = words.join([doing(job), short_progress(job)], " ")
        return Cell(text, "accent", sort=0)
    if engine is None and job is not None:
        return Cell(job.state, STATE_TONES[job.state], sort=3)
    if engine is None or not engine.current:
        return Cell("not in use", "warn", sort=3)
    return _standing(engine)


def _standing(engine: Engine) -> Cell:
    """Whether it is in use, and whether it is what would be built now."""
    if not engine.current:
        return Cell("kept", "dim", sort=5)
    if is_outdated(engine):
        return Cell("in use, old", "warn", sort=1)
    if engine.stale:
        return Cell("in use, try", "warn", sort=2)
    return Cell("in use", "good", sort=4)


def _about(engine: Engine | None) -> tuple[Cell, Cell, Cell, Cell, Cell, Cell]:
    if engine is None:
        nothing = Cell("")
        return nothing, nothing, nothing, nothing, nothing, nothing
    asked, done, gpu = precision(engine), tried(engine), built_for(engine)
    return (
        Cell(engine.manifest.key[:_FEW_DIGITS], "dim", wide=short_key(engine.manifest.key)),
        Cell(asked, sort=asked),
        Cell(done, _TRIED_TONES.get(done, ""), sort=done),
        _latency(engine),
        Cell(engine.manifest.parts.tensorrt, sort=tensorrt(engine), wide=tensorrt(engine)),
        Cell(words.gpu_model(gpu), sort=gpu, wide=gpu),
    )


def _latency(engine: Engine) -> Cell:
    """The median of the batch size that it is tuned for."""
    found = tuned_latency(engine)
    if found is None:
        return Cell(words.UNKNOWN)
    text = milliseconds(found.p50_ms)
    wide = text if found.batch is None else f"{text} of {found.batch}"
    return Cell(text, sort=found.p50_ms, wide=wide)


def _built(view: NodeView, engine: Engine | None) -> tuple[Cell, Cell]:
    if engine is None:
        return Cell(""), Cell("")
    at = engine.manifest.built_at - (view.clock_offset_seconds or 0.0)
    size = engine.manifest.plan_bytes
    return (
        Cell(words.age(max(0.0, time.time() - at)), sort=-at),
        Cell(words.size(size), sort=size),
    )


def _why(engine: Engine | None, job: Job | None) -> Cell:
    """Why the last build failed, where none came after it; why it is stale, or was not tried."""
    failed = job.problem if job is not None and job.state == "failed" else None
    ended = (job.ended_at if job is not None else None) or 0.0
    if failed is not None and (engine is None or ended > engine.manifest.built_at):
        return Cell(f"the last build failed: {failed.detail}", "bad")
    if engine is None:
        return Cell("")
    if engine.stale:
        return Cell(why_stale(engine), "warn")
    return Cell(engine.manifest.verification_reason or "", "dim")


def _away(view: NodeView, built: Built) -> list[Row]:
    problem = built.problems.get(view.name)
    if problem is None:
        return []  # it is being asked
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        Cell(words.UNKNOWN),
        Cell(view.state if view.state != "live" else "no answer", "bad", sort=-1),
        *(Cell(words.UNKNOWN) for _ in range(9)),
        age_cell(view),
        Cell(problem.detail.removeprefix(f"{view.name}: "), "warn"),
    )
    return [make_row(f"{view.name}/", view.name, cells, dim=view.state != "live", loud=_LOUD)]


def about_row(row: Row, columns: Sequence[Column]) -> str:
    """Why the engine of a row is as it is, which a low or narrow table has no room for."""
    index = next(i for i, column in enumerate(columns) if column.id == "reason")
    return whole_text(row.cells[index])
