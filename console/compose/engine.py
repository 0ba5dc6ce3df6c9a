"""`x-roost.engine` of a service: how the TensorRT engine is built that it runs.

A recipe as a file of its own has it. What it leaves out is the service's: `model` is its name,
`image` its image, in a throw-away container of which the engine is built.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.engines import EngineRecipe
from agent.rules.engine_keys import impossible
from console.compose.reading import ROOST, Place
from console.compose.scalars import kind
from console.compose.tree import Scalar

_HINT = "It is as a recipe of roost engine build has it."


def read_engine(service: Place) -> EngineRecipe | None:
    """What the service says; None where it says nothing, or what is wrong is noted."""
    extension = service.get(ROOST)
    place = None if extension is None else extension.get("engine")
    if place is None:
        return None
    if place.known(EngineRecipe.__struct_fields__) is None:
        return None
    image = service.get("image")
    said: dict[str, Any] = {"model": service.name}
    fields = EngineRecipe.__struct_fields__
    said.update((key, _plain(below)) for key, below in place.entries() if key in fields)
    if said.setdefault("executor", "container") == "container":
        said.setdefault("image", None if image is None else image.text())
    try:
        recipe = from_plain(said, EngineRecipe)
    except msgspec.ValidationError as error:
        place.wrong(f"does not fit: {error}", _HINT)
        return None
    if wrong := impossible(recipe):
        place.wrong(f"cannot be built: {wrong}", _HINT)
        return None
    return recipe


def _plain(place: Place) -> object:
    """As YAML means it, with variables put in."""
    if place.is_list():
        return [_plain(item) for item in place.items()]
    if not place.is_text():
        return {key: _plain(below) for key, below in place.entries()}
    if place.is_null():
        return None
    text = place.word()
    quoted = isinstance(place.node, Scalar) and not place.node.plain
    what = "text" if text is None or quoted else kind(text)
    if text is None or what == "text":
        return text
    if what == "boolean":
        return place.truth()
    return int(text) if what == "integer" else float(text)
