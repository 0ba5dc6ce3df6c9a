"""What differs between two releases, in words for people: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from agent.protocol.workloads import Workload
from console.rollouts.strategy import Strategy
from console.text import size

SHOWN = 120  # characters of a value
# Who writes it writes it so, where that is not the field's own name.
_NAMES = {
    "gpu": "x-roost.gpu",
    "engine": "x-roost.engine",
    "probes": "x-roost.probes",
    "soak": "x-roost.soak",
    "start_deadline": "x-roost.start_deadline",
    "strategy": "x-roost.strategy",
    "variants": "x-roost.variants",
    "mounts": "volumes",
    "memory_limit_bytes": "mem_limit",
}
_SIZES = ("_bytes", "_size", "mem_limit", "memory", "workspace")
_SECONDS = ("soak", "deadline", "start_deadline", "confirm_within", "timeout", "interval")


class Difference(msgspec.Struct, kw_only=True, frozen=True):
    """What becomes of one part of a release: a workload, or "rollout"."""

    part: str
    change: Literal["added", "removed", "changed"]
    words: list[str] = []


def differences(
    before: Sequence[Workload],
    after: Sequence[Workload],
    *,
    strategies: tuple[Strategy, Strategy] = (Strategy(), Strategy()),
) -> list[Difference]:
    """Workload by workload, in the order of the second release; then how it goes out."""
    old, new = ({each.name: each for each in side} for side in (before, after))
    found = [
        Difference(part=name, change="removed", words=[f"image {old[name].image}"])
        for name in old
        if name not in new
    ]
    for name, workload in new.items():
        if name not in old:
            words = [f"image {workload.image}"]
            found.append(Difference(part=name, change="added", words=words))
            continue
        words = list(_struct("", old[name], workload, _NAMES))
        if words:
            found.append(Difference(part=name, change="changed", words=words))
    words = list(_struct("", *strategies))
    return [*found, Difference(part="rollout", change="changed", words=words)] if words else found


def _struct(
    prefix: str, before: msgspec.Struct, after: msgspec.Struct, names: Mapping[str, str] = {}
) -> Iterator[str]:
    for field in before.__struct_fields__:
        name = f"{prefix}.{field}" if prefix else names.get(field, field)
        name = name.removesuffix("_bytes").replace("engine.recipe", "engine")
        yield from _values(name, getattr(before, field), getattr(after, field))


def _values(name: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in (*before, *(key for key in after if key not in before)):
            yield from _entry(f"{name} {key}", before.get(key), after.get(key))
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        yield from _lists(name, before, after)
    elif type(before) is type(after) and _is_plain(before):
        yield from _struct(name, before, after)
    else:
        yield from _entry(name, before, after)


def _entry(name: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    if before is None:
        yield f"{name}: {_shown(name, after)} is new"
    elif after is None:
        yield f"{name}: {_shown(name, before)} is gone"
    else:
        yield f"{name}: {_shown(name, before)} becomes {_shown(name, after)}"


def _lists(name: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[str]:
    """Of a command all of it; of others what came and went."""
    if name in ("command", "entrypoint", "waves"):
        yield f"{name}: {_all(name, before)} becomes {_all(name, after)}"
        return
    gone = [each for each in before if each not in after]
    came = [each for each in after if each not in before]
    if len(gone) == len(came) == 1 and type(gone[0]) is type(came[0]):
        yield from _entry(name, gone[0], came[0])
        return
    yield from (f"{name}: {_shown(name, each)} is gone" for each in gone)
    yield from (f"{name}: {_shown(name, each)} is new" for each in came)
    if not gone and not came:
        yield f"{name}: in another order, or not as often"


def _all(name: str, values: Sequence[Any]) -> str:
    separator = ", " if name == "waves" else " "
    return separator.join(_shown(name, each) for each in values) or "nothing"


def _shown(name: str, value: Any) -> str:
    last = name.rpartition(".")[2]
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "nothing"}[value]
    elif last.endswith(_SIZES) and isinstance(value, int):
        text = size(value)
    elif isinstance(value, (int, float)):
        text = f"{value:g} s" if last in _SECONDS else f"{value:g}"
    elif _is_plain(value):
        text = _struct_words(value)
    elif isinstance(value, (list, tuple)):
        text = _all(name, value)
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key} {_shown(key, each)}" for key, each in value.items()) or "nothing"
    else:
        text = str(value) or '""'
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _is_plain(value: Any) -> bool:
    """A struct that has no words of its own."""
    return isinstance(value, msgspec.Struct) and type(value).__str__ is msgspec.Struct.__str__


def _struct_words(value: msgspec.Struct) -> str:
    """What it says beyond its defaults: "target 8080, published 80"."""
    said = msgspec.structs.asdict(value)
    for field in msgspec.structs.fields(value):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if said[field.name] == default:
            del said[field.name]
    words = ", ".join(f"{key} {_shown(key, each)}" for key, each in said.items())
    tag = type(value).__struct_config__.tag
    return f"{tag}: {words}" if isinstance(tag, str) else words or "as it comes"
