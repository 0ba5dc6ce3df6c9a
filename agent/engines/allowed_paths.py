"""Which files of the node a recipe may name: those below the policy's `volume_roots`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from agent.host.real_paths import ROOT, real_path
from agent.protocol.engines import EngineRecipe, Validation
from agent.protocol.problems import ProblemError


def check_allowed(named: Sequence[str], roots: Sequence[Path], host: Path = ROOT) -> None:
    """Blocks. A link must not lead out of the roots; none at all allow everything.

    `host` is the machine's root.

    Raises:
        ProblemError: `policy.volume_root`, `engine.recipe`.
    """
    for name in named:
        if "\0" in name:
            raise ProblemError("engine.recipe", f"{name!r} is no path", hint="Mend the recipe.")
    if not roots:
        return
    real_roots = [real_path(str(root), host) for root in roots]
    for name in named:
        if not any(real_path(name, host).is_relative_to(root) for root in real_roots):
            raise ProblemError(
                "policy.volume_root",
                f"{name} is outside the folders that engines may be built from here",
                params={"path": name},
                hint=f"Allowed are: {', '.join(map(str, roots))}. They are policy.volume_roots.",
            )


def named_by(recipe: EngineRecipe) -> list[str]:
    """Every path on the node that it names."""
    return [
        recipe.onnx,
        *([recipe.calibration_cache] if recipe.calibration_cache else []),
        *inputs_of(recipe.validation),
    ]


def placed_below(recipe: EngineRecipe, models: Path) -> EngineRecipe:
    """The recipe with the whole path of what it names below the agent's folder of models."""
    calibration = recipe.calibration_cache
    return msgspec.structs.replace(
        recipe,
        onnx=str(models / recipe.onnx),
        calibration_cache=None if calibration is None else str(models / calibration),
    )


def inputs_of(validation: Validation | None) -> Iterator[str]:
    """The folder that inputs are read from, if any."""
    if validation is not None and validation.inputs is not None:
        yield validation.inputs
