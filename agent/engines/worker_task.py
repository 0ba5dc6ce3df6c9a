"""What a worker is asked for: a description in JSON, and files that it sees under some path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.protocol.engines import EngineRecipe, Validation

# Of the recipe, what the worker is told as it stands; paths are told apart.
_TOLD = (
    "precision",
    "profiles",
    "workspace_bytes",
    "optimization_level",
    "version_compatible",
    "hardware_compatibility",
    "compute_capabilities",
    "gpu_memory_bytes",
    "sparsity",
    "dla",
)


class TaskPath(msgspec.Struct, frozen=True):
    """One file or folder by its key in the description. `folder`: what lies beside it, too."""

    key: str
    path: Path
    writable: bool = False
    folder: bool = False


class WorkerTask(msgspec.Struct, kw_only=True, frozen=True):
    """One run of the worker."""

    job: str  # that it belongs to
    place: Path  # a folder for the description
    action: Literal["build", "check"]
    flavour: str
    recipe: EngineRecipe | None  # None: a check of what was imported
    validation: Validation
    gpu: str | None  # the one that it sees
    image: str | None = None  # the runtime's id of it; None: a process on the node
    memory_bytes: int | None = None
    paths: Sequence[TaskPath] = ()

    def described(self, seen_as: Callable[[TaskPath], str]) -> dict[str, Any]:
        """For worker.py; `seen_as` says how the worker sees a path."""
        recipe = _whole(self.recipe) if self.recipe else {}
        paths = {path.key: seen_as(path) for path in self.paths}
        wanted = _whole(self.validation)
        return {
            "action": self.action,
            "flavour": self.flavour,
            "onnx": None,
            "timing_cache": None,
            "runtime_cache": None,
            "calibration_cache": None,
            **{name: recipe.get(name) for name in _TOLD},
            **{key: path for key, path in paths.items() if key not in _VALIDATION_PATHS},
            "validation": {
                **{key: value for key, value in wanted.items() if key != "previous"},
                **{key: paths.get(key) for key in _VALIDATION_PATHS},
            },
        }


def _whole(said: EngineRecipe | Validation) -> dict[str, Any]:
    """With what is at its default."""
    whole: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(said))
    return whole


_VALIDATION_PATHS = ("inputs", "keep_outputs", "compare")
