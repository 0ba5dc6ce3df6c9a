"""`x-roost.engine` of a service: which TensorRT engine it gets, and how that is built.

A recipe as a file of its own has it. What it leaves out is the service's: `model` is its name,
`image` its image, in a throw-away container of which the engine is built. Without `onnx` nothing is
built: it gets the engine of `model` that is in use on the node. `required: false` says that it can
do without.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.engines import EngineRecipe
from agent.protocol.workloads import EngineUse
from agent.rules.engine_keys import impossible
from console.compose.reading import ROOST, Place
from console.compose.scalars import kind
from console.compose.tree import Scalar

_FIELDS, _REQUIRED = EngineRecipe.__struct_fields__, "required"
_HINT = "It is as a recipe of roost engine build has it."


def read_engine(service: Place) -> EngineUse | None:
    """What the service says; None where it says nothing, or what is wrong is noted."""
    extension = service.get(ROOST)
    place = None if extension is None else extension.get("engine")
    if place is None or place.known((*_FIELDS, _REQUIRED)) is None:
        return None
    required = None if (given := place.get(_REQUIRED)) is None else given.truth()
    said: dict[str, Any] = {"model": service.name}
    said.update((key, _plain(below)) for key, below in place.entries() if key in _FIELDS)
    builds = bool(said.keys() - {"model"})
    image = service.get("image")
    if builds and said.setdefault("executor", "container") == "container":
        said.setdefault("image", None if image is None else image.text())
    try:
        use = from_plain({"model": said["model"], "recipe": said if builds else None}, EngineUse)
    except msgspec.ValidationError as error:
        place.wrong(f"does not fit: {error}", _HINT)
        return None
    if use.recipe is not None and (wrong := impossible(use.recipe)):
        place.wrong(f"cannot be built: {wrong}", _HINT)
        return None
    use.required = required is not False
    return use


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
