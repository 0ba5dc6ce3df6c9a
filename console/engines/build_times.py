"""How long a build will take, from builds that were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.protocol.engines import Engine
from agent.protocol.jobs import Job
from agent.rules.engine_keys import recipe_digest

BUILD_KIND = "engine.build"
# The stage of a build in which TensorRT builds; the others take little.
BUILDING = "building"
# That in which its plan comes from another node.
FETCHING = "fetching"
# Reasons why an engine is stale that mean another TensorRT.
_OTHER_TENSORRT = ("tensorrt", "image")


class EarlierBuild(NamedTuple):
    """A build that this one is like."""

    node: str
    engine: Engine

    @property
    def seconds(self) -> float:
        return self.engine.manifest.build_seconds


def earlier_build(
    known: Mapping[str, Sequence[Engine]],
    node: str,
    model: str,
    alike: str | None,
    gpus: Sequence[str] | None = None,
) -> EarlierBuild | None:
    """The build that had the same key parts: the model's own, by the same recipe, for the same GPU,
    with the TensorRT that is there now; on this node, else on another; the newest of those. None:
    there is none.

    Args:
        known: engines by node.
        alike: `recipe_digest` of the recipe; None: it is not known.
        gpus: names of the node's GPUs; None: all engines are of this node.
    """
    found: list[tuple[bool, float, EarlierBuild]] = []
    for name, engines in known.items():
        for engine in engines:
            # Engines of TensorRT-RTX are not built on a GPU: only the CPU makes a difference.
            gpu = engine.manifest.parts.gpu
            same_gpu = gpus is None or gpu is None or gpu in gpus
            if engine.model == model and same_gpu and _built_so(engine, alike):
                found.append((name == node, engine.manifest.built_at, EarlierBuild(name, engine)))
    return max(found, key=lambda each: each[:2])[2] if found else None


def _built_so(engine: Engine, alike: str | None) -> bool:
    """By that recipe, there, and with a TensorRT that has not changed since."""
    recipe = engine.manifest.parts.recipe
    if recipe is None or engine.manifest.imported is not None or alike is None:
        return False
    other = any(each.what in _OTHER_TENSORRT for each in engine.stale)
    return not other and recipe_digest(recipe) == alike


def share_done(job: Job) -> float | None:
    """How much of the building is done, 0 to 1; None: nobody knows, or it does not build now."""
    return stage_done(job) if job.stage == BUILDING else None


def stage_done(job: Job) -> float | None:
    """The same, of the fetching, too."""
    shown = job.stage in (BUILDING, FETCHING)
    if job.state != "running" or not shown or job.done is None or not job.total:
        return None
    return min(1.0, job.done / job.total)


def seconds_left(
    job: Job, before: EarlierBuild | None, *, running_seconds: float = 0.0
) -> float | None:
    """Of the building; None: nobody knows.

    TensorRT's own progress stands still for long and jumps then: the time that has gone by counts,
    until it is longer than the earlier build took.
    """
    share = share_done(job)
    if before is None or share is None:
        return None
    by_time = before.seconds - running_seconds
    return by_time if by_time > 0 else before.seconds * (1.0 - share)
