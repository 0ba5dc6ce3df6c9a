"""Reading an engine's recipe."""

from __future__ import annotations

import re
from pathlib import Path

from agent.protocol.engines import EngineRecipe
from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings
from agent.rules.engine_keys import impossible
from agent.yaml_text import read_document, read_tree

# In JSON, too, which is YAML; a recipe has no such key.
_SERVICES = re.compile(r"""(?:^|[{,]\s*)["']?services["']?\s*:""", re.MULTILINE)


def is_release(path: Path) -> bool:
    """Whether it is a Compose file, and no recipe. Raises ProblemError `settings.unreadable`."""
    return _SERVICES.search(_text(path)) is not None


def read_recipe(path: Path) -> EngineRecipe:
    """Raises ProblemError `settings.*`, with file and line; `engine.recipe`."""
    text = _text(path)
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable",
            f"{path}: {error}",
            params={"file": str(path)},
            hint="Name a recipe, a YAML file in UTF-8; roost engine build --help has one.",
        ) from None
