"""Which GPUs a workload gets.

What is reserved and exclusive counts among workloads that Roost places; what others use is only a
reason to prefer another GPU, for it comes and goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from agent.protocol.problems import Param, ProblemError
from agent.protocol.workloads import GpuRequest

LEAST_MEMORY, LEAST_BUSY, SPREAD, ALL = "least-memory", "least-busy", "spread", "all"
# The only GPU of a Jetson has no UUID that anything else knows.
IGPU = "igpu"
# A shorter beginning of a UUID would too easily be another one's.
UUID_START = 8


class GpuSlot(msgspec.Struct, kw_only=True, frozen=True):
    """A GPU, or one of its MIG slices, that a workload can be put on."""

    uuid: str
    index: int  # of the GPU; of the slice within it
    name: str
    profile: str | None = None  # of a MIG slice: "1g.10gb"
    split: bool = False  # a GPU in MIG mode: only its slices can be had
    broken: str | None = None  # why nothing may be put on it now
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilization_percent: float | None = None
    reserved: dict[str, int] = {}  # bytes by workload; 0 of one that reserves none
    exclusive: str | None = None  # the workload that has it alone

    def reserved_by_others(self, workload: str) -> int:
        """Bytes."""
        return sum(size for name, size in self.reserved.items() if name != workload)


def choose(request: GpuRequest, slots: Sequence[GpuSlot], *, workload: str) -> list[GpuSlot]:
    """The GPUs for one workload, best first. What it has reserved itself does not count against it.

    Raises:
        ProblemError: `placement.select`, `placement.none`, `placement.unknown`,
            `placement.memory`, `placement.exclusive`, `placement.broken`.
    """
    words = [word.strip() for word in request.select.split(",") if word.strip()]
    if not words:
        raise _bad_select(request.select, "it says nothing")
    if not slots:
        raise ProblemError(
            "placement.none",
            "this node has no GPU that the agent sees",
            hint="`roost doctor NODE` says why.",
        )
    if len(words) == 1 and (found := _strategy(words[0])):
        pool = [slot for slot in slots if not slot.profile and not slot.split]
        count = len(pool) if words[0] in (ALL, SPREAD) else request.count
        return _best(request, pool, workload, count, found)
    chosen: list[GpuSlot] = []
    for word in words:
        chosen += _named(word, request, slots, workload, taken={slot.uuid for slot in chosen})
    return chosen


def _strategy(word: str) -> Callable[[GpuSlot], tuple[float, ...]] | None:
    """In which order GPUs are taken; None: `word` names one."""
    return {
        LEAST_MEMORY: _by_memory,
        LEAST_BUSY: _by_load,
        SPREAD: lambda slot: (slot.index,),
        ALL: lambda slot: (slot.index,),
    }.get(word)


def _by_memory(slot: GpuSlot) -> tuple[float, ...]:
    used = max(slot.memory_used_bytes or 0, sum(slot.reserved.values()))
    return (used, slot.utilization_percent or 0.0, slot.index)


def _by_load(slot: GpuSlot) -> tuple[float, ...]:
    load = slot.utilization_percent
    return (100.0 if load is None else load, slot.memory_used_bytes or 0, slot.index)


def _best(
    request: GpuRequest,
    pool: Sequence[GpuSlot],
    workload: str,
    count: int,
    order: Callable[[GpuSlot], tuple[float, ...]],
) -> list[GpuSlot]:
    """The first `count` that will do; else what is wrong with the nearest that will not."""
    refusals = {slot.uuid: _refusal(slot, request, workload) for slot in pool}
    able = [slot for slot in pool if refusals[slot.uuid] is None]
    if count <= len(able) and able:
        return sorted(able, key=order)[:count]
    for slot in sorted(pool, key=order):
        refusal = refusals[slot.uuid]
        if refusal is not None:
            raise refusal
    raise ProblemError(
        "placement.none",
        f"{count} GPUs are wanted, and {len(able)} of them can be had",
        params={"wanted": count, "there": len(able)},
        hint="Ask for fewer. A GPU in MIG mode is had by its slices: --gpu profile=1g.10gb",
    )


def _named(
    word: str, request: GpuRequest, slots: Sequence[GpuSlot], workload: str, *, taken: set[str]
) -> list[GpuSlot]:
    key, equals, value = word.partition("=")
    if equals and key in ("name", "profile"):
        pool = [slot for slot in slots if _matches(slot, key, value) and slot.uuid not in taken]
        if not pool:
            raise _unknown(word, slots)
        return _best(request, pool, workload, request.count, _by_memory)
    slot = _one(word, slots)
    refusal = _refusal(slot, request, workload)
    if refusal is not None:
        raise refusal
    if slot.uuid in taken:
        raise _bad_select(request.select, f"{word} is the same GPU twice")
    return [slot]


def _matches(slot: GpuSlot, key: str, value: str) -> bool:
    if key == "profile":
        return slot.profile is not None and slot.profile.lower() == value.lower()
    return not slot.profile and not slot.split and value.lower() in slot.name.lower()


def _one(word: str, slots: Sequence[GpuSlot]) -> GpuSlot:
    """The GPU or slice that a UUID, the start of one, an index or "igpu" names."""
    gpus = [slot for slot in slots if not slot.profile]
    if word.isdecimal():
        found = [slot for slot in gpus if slot.index == int(word)]
    elif word == IGPU:
        found = gpus[:1]
    elif len(word) >= UUID_START:
        found = [slot for slot in slots if slot.uuid.lower().startswith(word.lower())]
    else:
        raise _bad_select(word, "it is no UUID, index, name=..., profile=... or way to choose")
    if not found:
        raise _unknown(word, slots)
    if len(found) > 1:
        raise _bad_select(word, "more than one GPU begins like that")
    return found[0]


def _refusal(slot: GpuSlot, request: GpuRequest, workload: str) -> ProblemError | None:
    """Why this one cannot be had."""
    what = f"GPU {slot.index} ({slot.name}, {slot.uuid})"
    params: dict[str, Param] = {"gpu": slot.uuid, "index": slot.index}
    if slot.broken:
        return ProblemError(
            "placement.broken",
            f"{what} cannot be used: {slot.broken}",
            params=params,
            hint="`roost doctor NODE` says how to mend it.",
        )
    if slot.split:
        return ProblemError(
            "placement.mig",
            f"{what} is in MIG mode: only its slices can be had",
            params=params,
            hint="Name a slice by its UUID, or any of a size: --gpu profile=1g.10gb",
        )
    others = sorted(name for name in slot.reserved if name != workload)
    holder = slot.exclusive if slot.exclusive != workload else None
    if holder or (request.exclusive and others):
        return ProblemError(
            "placement.exclusive",
            f"{what} belongs to {holder} alone"
            if holder
            else f"{what} cannot be had alone: {', '.join(others)} is on it",
            params={**params, "workloads": [holder] if holder else list(others)},
            hint="Choose another GPU, or move the other workload first.",
        )
    if request.memory_bytes and slot.memory_total_bytes is not None:
        left = slot.memory_total_bytes - slot.reserved_by_others(workload)
        if request.memory_bytes > left:
            return ProblemError(
                "placement.memory",
                f"{what} has {_gib(left)} that nobody has reserved, {_gib(request.memory_bytes)}"
                " are wanted" + (f" (beside {', '.join(others)})" if others else ""),
                params={**params, "free_bytes": left, "wanted_bytes": request.memory_bytes},
                hint="Choose another GPU, reserve less, or move a workload away from it.",
            )
    return None


def _unknown(word: str, slots: Sequence[GpuSlot]) -> ProblemError:
    there = ", ".join(
        f"{slot.profile or slot.index} {slot.name} {slot.uuid}" for slot in slots[:16]
    )
    return ProblemError(
        "placement.unknown",
        f"no GPU here is {word}",
        params={"select": word, "gpus": [slot.uuid for slot in slots]},
        hint=f"There are: {there}",
    )


def _bad_select(select: str, why: str) -> ProblemError:
    return ProblemError(
        "placement.select",
        f"{select!r} does not say which GPUs: {why}",
        params={"select": select},
        hint="Give a GPU-... or MIG-... UUID, an index, name=A10, profile=1g.10gb, igpu,"
        " least-memory, least-busy, spread or all.",
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
