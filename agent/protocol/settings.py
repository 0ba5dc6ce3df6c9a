"""Settings read from YAML against a schema: a mistake is told with file, line and nearest key.

The YAML parser itself is the caller's (this package imports the standard library and msgspec),
so its two results come as arguments: the plain document, and the node tree that knows lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.problems import ProblemError

T = TypeVar("T")


class YamlNode(Protocol):
    """What is used of PyYAML's nodes: a scalar's text, or children, and where it starts."""

    value: Any
    start_mark: Any


def convert_settings(
    document: object, wanted: type[T], *, file: str, tree: Callable[[], YamlNode | None]
) -> T:
    """`document` as `wanted`, a msgspec.Struct with forbid_unknown_fields.

    Raises:
        ProblemError: `settings.unknown_key` or `settings.invalid`, with file and line.
    """
    try:
        return from_plain(document, wanted, dec_hook=_decode)
    except msgspec.ValidationError as error:
        text = str(error)
    message, _, where = text.partition(" - at `")
    path = _path(where.rstrip("`"), document, wanted, text)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        key = unknown[1]
        line = line_of(tree(), [*path, key])
        known = _known_keys(wanted, path)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        raise ProblemError(
            "settings.unknown_key",
            f"{file}, line {line}: unknown key {key!r}",
            params={"file": file, "line": line, "key": key, "nearest": near[0] if near else None},
            hint=(
                f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(sorted(known))}."
            ),
        )
    line = line_of(tree(), path)
    place = f" at {'.'.join(str(step) for step in path)}" if path else ""
    raise ProblemError(
        "settings.invalid",
        f"{file}, line {line}: {message[0].lower()}{message[1:]}{place}",
        params={"file": file, "line": line},
        hint=(
            "Put it in quotes."
            if re.fullmatch(r"Expected `str[^`]*`, got `(int|float|bool)`", message)
            else "Mend that line and run the command again."
        ),
    )


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _path(where: str, document: object, wanted: Any, said: str) -> list[str | int]:
    """msgspec's "$.nodes[2].labels[...]" as steps; `[...]` is some key of a mapping."""
    steps: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", where):
        if name:
            steps.append(name)
        elif index.isdigit():
            steps.append(int(index))
        elif (key := _key_at_fault(document, steps, wanted, said)) is not None:
            steps.append(key)
        else:
            break
    return steps


def _key_at_fault(document: object, steps: list[str | int], wanted: Any, said: str) -> str | None:
    """Of the mapping at `steps`, the key whose value brings the same complaint when it is alone."""
    mapping: Any = document
    for step in steps:
        mapping = mapping[step]
    for key, value in mapping.items():
        try:
            from_plain(_with(document, steps, {key: value}), wanted, dec_hook=_decode)
        except msgspec.ValidationError as error:
            if str(error) == said and isinstance(key, str):
                return key
    return None


def _with(document: Any, steps: list[str | int], value: object) -> object:
    """A copy in which `value` stands at `steps`."""
    if not steps:
        return value
    copy = document.copy()
    copy[steps[0]] = _with(document[steps[0]], steps[1:], value)
    return copy


def line_of(node: YamlNode | None, path: list[str | int]) -> int:
    """The line, from 1, of the deepest part of `path` that the tree has."""
    line = 1
    for step in path:
        children = node.value if node is not None and isinstance(node.value, list) else []
        node = None
        if isinstance(step, int) and step < len(children):
            node = children[step]
            line = children[step].start_mark.line + 1
        elif isinstance(step, str):
            for pair in children:
                if isinstance(pair, tuple) and pair[0].value == step:
                    line, node = pair[0].start_mark.line + 1, pair[1]
        if node is None:
            break
    return line


def _known_keys(wanted: Any, path: list[str | int]) -> list[str]:
    """The keys that the schema knows at `path`."""
    kind: Any = msgspec.inspect.type_info(wanted)
    for step in path:
        kind = _below(kind, step)
    return [field.encode_name for field in getattr(_struct(kind), "fields", ())]


def _struct(kind: Any) -> Any:
    for option in getattr(kind, "types", (kind,)):
        if isinstance(option, msgspec.inspect.StructType):
            return option
    return kind


def _below(kind: Any, step: str | int) -> Any:
    for option in getattr(kind, "types", (kind,)):
        if isinstance(option, msgspec.inspect.StructType) and isinstance(step, str):
            for field in option.fields:
                if field.encode_name == step:
                    return field.type
        if isinstance(option, msgspec.inspect.ListType) and isinstance(step, int):
            return option.item_type
        if isinstance(option, msgspec.inspect.DictType) and isinstance(step, str):
            return option.value_type
    return kind
