"""What differs between two snapshots, and in which part of a node: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from agent.protocol.engines import Engine
from agent.protocol.gpus import Gpu
from agent.protocol.images import NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.snapshots import WITHHELD, AppliedWorkload, NodeSnapshot
from agent.protocol.workloads import Workload
from console.fleet.drift import has
from console.rollouts.release_diff import differences
from console.snapshots.same_image import one_store, same_image
from console.text import plural, size

T = TypeVar("T")
Part = Literal[
    "driver", "runtime", "machine", "workloads", "images", "engines", "models", "releases",
    "secrets", "configuration",
]  # fmt: skip
Kind = Literal["added", "removed", "changed"]
DIGITS = 12
CHANGED = "changed, value withheld"


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that is not as it was."""

    part: Part
    name: str  # "driver", "web", "app:1"
    kind: Kind
    before: str = ""
    after: str = ""
    words: list[str] = []  # what of it changed, where that is more than a value


class Difference(msgspec.Struct, kw_only=True, frozen=True):
    """Of two snapshots."""

    changes: list[Change]
    unknown: dict[str, str] = {}  # what was not compared, and why
    unchanged: list[str] = []  # of agent.yaml, by their seals: keys whose values are withheld


def compare(before: NodeSnapshot, after: NodeSnapshot) -> list[Change]:
    """What changed, by what matters most to whoever is called at night: the driver first.

    Parts that one of them could not tell are left out: see `incomparable`.
    """
    unknown = {*before.unknown, *after.unknown}
    return [
        *_facts(before, after),
        *(_workloads(before, after) if "workloads" not in unknown else ()),
        *(_images(before, after) if "images" not in unknown else ()),
        *(_engines(before.engines, after.engines) if "engines" not in unknown else ()),
        *(_files(before, after) if "files" not in unknown else ()),
        *_secrets(before, after),
        *configuration(before, after),
    ]


def incomparable(before: NodeSnapshot, after: NodeSnapshot) -> dict[str, str]:
    """What could not be told when one of them was taken, or is not told at all, and why."""
    found = {**before.unknown, **after.unknown}
    there, sealed = {each.name: each for each in after.workloads}, _sealed_alike(before, after)
    places = [
        place
        for each in before.workloads
        if each.workload is not None and each.name in there
        for place in {*each.withheld, *there[each.name].withheld}
        if not (sealed and place in each.seals and place in there[each.name].seals)
    ]
    settings = before.configuration_seals.keys() | after.configuration_seals.keys()
    places += [
        key
        for key in settings
        if before.configuration.get(key) == after.configuration.get(key)
        and not (sealed and _in_both(key, before, after))
    ]
    if places:
        what = plural(len(places), "place")
        found["values"] = f"those of {what} were withheld, and not compared"
    return found


def difference(before: NodeSnapshot, after: NodeSnapshot) -> Difference:
    """Both: what changed, and what is not known."""
    changes = compare(before, after)
    changed = {each.name for each in changes if each.part == "configuration"}
    unchanged = [
        key
        for key in before.configuration_seals
        if _sealed_alike(before, after) and _in_both(key, before, after) and key not in changed
    ]
    return Difference(changes=changes, unknown=incomparable(before, after), unchanged=unchanged)


def tells_values(snapshot: NodeSnapshot) -> bool:
    """Whether it was taken with values of environments."""
    return any(
        value != WITHHELD
        for each in snapshot.workloads
        if each.workload is not None
        for value in each.workload.environment.values()
    )


def _facts(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    old, new = before.facts, after.facts
    yield from _texts("driver", _driver(old), _driver(new))
    gpus = ({f"GPU {each.index}": _gpu(each) for each in side.gpus} for side in (old, new))
    yield from _texts("driver", *gpus)
    yield from _texts("runtime", _runtime(old), _runtime(new))
    yield from _texts("machine", _machine(before), _machine(after))


def _driver(facts: NodeFacts) -> dict[str, str]:
    no_mode = "not known" if "mode" in facts.toolkit.unknown else "none"
    return {
        "driver": has("driver", facts),
        "CUDA": has("cuda", facts),
        "GPU stack": facts.gpu_stack.state,
        "L4T": has("l4t", facts),
        "container toolkit": has("toolkit", facts),
        "toolkit mode": facts.toolkit.mode or no_mode,
    }


def _runtime(facts: NodeFacts) -> dict[str, str]:
    runtime = facts.runtime
    # One that does not answer has all of it, as far as anybody knows.
    none = "none" if runtime.state in ("ok", "simulated", "not_found") else "not known"
    told = {
        "runtime": " ".join(part for part in (runtime.name, runtime.version) if part),
        "state": runtime.state,
        "image store": runtime.image_store,
        "storage driver": runtime.storage_driver,
        "runtimes": ", ".join(sorted(runtime.runtimes)),
        "default runtime": runtime.default_runtime,
        "cgroups": runtime.cgroup_version,
    }
    return {what: text or none for what, text in told.items()}


def _machine(side: NodeSnapshot) -> dict[str, str]:
    host = side.facts.host
    return {
        "name": side.node,
        "system": host.os,
        "kernel": host.kernel,
        "architecture": host.architecture,
        "memory": size(host.memory_total_bytes),
        "agent": side.facts.agent.version,
    }


def _gpu(gpu: Gpu) -> str:
    mig = ", ".join(each.profile or "?" for each in gpu.mig_instances)
    parts = [gpu.name, size(gpu.memory_total_bytes), gpu.uuid]
    parts += (
        [f"persistence {'on' if gpu.persistence else 'off'}"] if gpu.persistence is not None else []
    )
    parts += [f"ECC {'on' if gpu.ecc else 'off'}"] if gpu.ecc is not None else []
    return ", ".join([*parts, *([f"MIG {mig}"] if mig else [])])


def _sealed_alike(before: NodeSnapshot, after: NodeSnapshot) -> bool:
    """Whether their seals are of one key, and so tell whether a value is the same."""
    return before.sealed_by == after.sealed_by != ""


def changed_values(workload: str, before: NodeSnapshot, after: NodeSnapshot) -> list[str]:
    """Places whose withheld values differ; those that nobody can compare are not among them."""
    if not _sealed_alike(before, after):
        return []
    was, now = (
        next((each for each in side.workloads if each.name == workload), None)
        for side in (before, after)
    )
    if was is None or now is None:
        return []
    # What both tell is compared as it stands.
    withheld = {*was.withheld, *now.withheld}
    return [place for place in _resealed(was.seals, now.seals) if place in withheld]


def _secrets(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    yield from _texts(
        "secrets", dict.fromkeys(before.secrets, ""), dict.fromkeys(after.secrets, "")
    )
    for name in _resealed(before.secret_seals, after.secret_seals):
        if _sealed_alike(before, after):
            yield Change(part="secrets", name=name, kind="changed", words=[CHANGED])


def configuration(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    """What differs in agent.yaml."""
    yield from _texts("configuration", before.configuration, after.configuration)
    for key in _resealed(before.configuration_seals, after.configuration_seals):
        if _sealed_alike(before, after):
            yield Change(part="configuration", name=key, kind="changed", words=[CHANGED])


def _in_both(key: str, before: NodeSnapshot, after: NodeSnapshot) -> bool:
    return key in before.configuration_seals and key in after.configuration_seals


def _resealed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [name for name, seal in before.items() if after.get(name, seal) != seal]


def _workloads(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    old, new = ({each.name: each for each in side.workloads} for side in (before, after))
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            kind: Kind = "added" if was is None else "removed"
            yield Change(part="workloads", name=name, kind=kind, words=_what(was or now))
            continue
        words = list(_workload(was, now))
        words += [f"{place}: {CHANGED}" for place in changed_values(name, before, after)]
        if words:
            yield Change(part="workloads", name=name, kind="changed", words=words)


def _what(there: AppliedWorkload | None) -> list[str]:
    if there is None or there.workload is None:
        return []
    return [f"image {there.workload.image}"]


def _workload(was: AppliedWorkload, now: AppliedWorkload) -> Iterator[str]:
    if was.workload is not None and now.workload is not None:
        for difference in differences(*([each] for each in _alike(was.workload, now.workload))):
            yield from difference.words
    elif was.workload is not now.workload:
        yield "how it was asked for is known of one of them only"
    images = was.config_digest, now.config_digest
    if None in images:
        images = (was.image, now.image) if images == (None, None) else (None, None)
    plain = {
        "image behind its name": (_short(images[0]), _short(images[1])),
        "container": (was.state, now.state),
        "GPUs": (", ".join(was.gpus) or "none", ", ".join(now.gpus) or "none"),
        "engine": (_short(was.engine), _short(now.engine)),
        "release": (was.release, now.release),
    }
    for what, (one, other) in plain.items():
        if one != other:
            yield f"{what}: {one} becomes {other}"


def _alike(was: Workload, now: Workload) -> tuple[Workload, Workload]:
    """Both with the values withheld that one of them has withheld."""
    names = {
        name for each in (was, now) for name, value in each.environment.items() if value == WITHHELD
    }

    def without(workload: Workload) -> Workload:
        environment = {
            name: WITHHELD if name in names else value
            for name, value in workload.environment.items()
        }
        return msgspec.structs.replace(workload, environment=environment)

    return without(was), without(now)


def _images(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    alike = one_store(before, after)

    def named(images: Sequence[NodeImage]) -> dict[str, NodeImage]:
        return {
            name: image
            for image in images
            for name in image.tags or [_short(image.config_digest or image.id)]
        }

    def text(image: NodeImage) -> str:
        return f"{_short(_identity(image))}, {size(image.size_bytes)}"

    old, new = named(before.images), named(after.images)
    same = {name for name in old.keys() & new if same_image(old[name], new[name], alike=alike)}
    sides = (
        {name: text(image) for name, image in side.items() if name not in same}
        for side in (old, new)
    )
    yield from _texts("images", *sides)


def _identity(image: NodeImage) -> str:
    """What it is called for people: by its topmost layer where the config is not known."""
    return image.config_digest or (image.diff_ids[-1] if image.diff_ids else image.id)


def _engines(before: Sequence[Engine], after: Sequence[Engine]) -> Iterator[Change]:
    def current(engines: Sequence[Engine]) -> dict[str, str]:
        return {each.model: _engine(each) for each in engines if each.current}

    def others(engines: Sequence[Engine]) -> dict[str, str]:
        return {
            f"{each.model} {_short(each.manifest.key)}": _engine(each)
            for each in engines
            if not each.current
        }

    yield from _texts("engines", current(before), current(after))
    used = {
        f"{each.model} {_short(each.manifest.key)}" for each in (*before, *after) if each.current
    }
    sides = (
        {name: text for name, text in others(side).items() if name not in used}
        for side in (before, after)
    )
    yield from _texts("engines", *sides)


def _engine(engine: Engine) -> str:
    parts = engine.manifest.parts
    stale = "".join(f", stale: {each.text}" for each in engine.stale)
    made = f"{parts.flavour} {parts.tensorrt}, {parts.gpu or 'any GPU'}"
    return f"{_short(engine.manifest.key)}, {made}, {engine.manifest.verification}{stale}"


def _files(before: NodeSnapshot, after: NodeSnapshot) -> Iterator[Change]:
    kinds: tuple[tuple[str, Part], ...] = (("model", "models"), ("release", "releases"))
    for kind, part in kinds:
        sides = (
            {
                each.name: f"{_short(each.sha256)}, {size(each.size_bytes)}"
                for each in side.files
                if each.kind == kind
            }
            for side in (before, after)
        )
        yield from _texts(part, *sides)


def _texts(part: Part, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in _in_order(before, after):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        kind: Kind = "added" if was is None else "removed" if now is None else "changed"
        yield Change(part=part, name=name, kind=kind, before=was or "", after=now or "")


def _in_order(before: Iterable[str], after: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _short(digest: str | None) -> str:
    return (digest or "unknown").removeprefix("sha256:")[:DIGITS]


def grouped(changes: Sequence[Change], key: Callable[[Change], T]) -> dict[T, list[Change]]:
    """The changes by what `key` says, in their order."""
    found: dict[T, list[Change]] = {}
    for change in changes:
        found.setdefault(key(change), []).append(change)
    return found
