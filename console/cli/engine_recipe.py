"""Reading an engine's recipe."""

from __future__ import annotations

from pathlib import Path

from agent.protocol.engines import EngineRecipe
from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings
from agent.rules.engine_keys import impossible
from agent.yaml_text import read_document, read_tree


def read_recipe(path: Path) -> EngineRecipe:
    """Raises ProblemError `settings.*`, with file and line; `engine.recipe`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable",
            f"{path}: {error}",
            params={"file": str(path)},
            hint="Name a recipe, a YAML file in UTF-8; roost engine build --help has one.",
        ) from None
    document = read_document(text, file=str(path))
    recipe = convert_settings(document, EngineRecipe, file=str(path), tree=lambda: read_tree(text))
    if wrong := impossible(recipe):
        raise ProblemError(
            "engine.recipe",
            f"{path}: {wrong}",
            params={"file": str(path)},
            hint="Mend the recipe.",
        )
    return recipe
