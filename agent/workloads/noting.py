"""What of a workload only the agent reads: where nothing else changes, its container stays."""

from __future__ import annotations

import msgspec

from agent.protocol.workloads import GpuRequest
from agent.workloads.recipe import Recipe
from agent.workloads.records import Part, WorkloadRecord

STAYS = "only the agent reads what changes: the container is not touched"
# Of `x-roost.gpu`: which GPUs it shall be, and what is reserved on them.
_PLACING = ("select", "count", "exclusive", "memory_bytes")
_READ = ("on_lost", "on_exceeded", "verify")


def makes_the_same(known: WorkloadRecord, part: Part) -> bool:
    """Whether the container that runs was made as `part` says, leaving GPUs out of account."""
    if known.recipe is None or part.old is None or not part.old.running:
        return False
    # `docker update` may have changed it since; what else differs makes another container.
    policies = [each.restart.get("Name") or "no" for each in (part.old.recipe, part.recipe)]
    capabilities = [each.gpu.capabilities if each.gpu else [] for each in (known, part)]
    return (
        policies[0] == policies[1]
        and known.front == part.front
        and capabilities[0] == capabilities[1]
        and _same(known.recipe, part.recipe)
    )


def places_the_same(before: GpuRequest | None, after: GpuRequest | None) -> bool:
    """Whether there is nothing to choose anew."""
    if before is None or after is None:
        return before is after
    return all(getattr(before, name) == getattr(after, name) for name in _PLACING)


def has_its_gpus(known: WorkloadRecord, part: Part) -> bool:
    """Whether what was chosen for `part` is what the container that runs has."""
    return sorted(known.gpus) == sorted(part.gpus) and known.gpu_way == part.gpu_way


def noted(held: Part, part: Part) -> list[str]:
    """What is written down otherwise from now on, in words; empty: nothing."""
    found = []
    if held.gpu is not None and part.gpu is not None:
        for name in (*_PLACING, *_READ):
            before, after = getattr(held.gpu, name), getattr(part.gpu, name)
            if before != after:
                found.append(f"x-roost.gpu.{name}: {_word(before)} becomes {_word(after)}")
    for name in ("soak", "start_deadline"):
        before, after = getattr(held, name), getattr(part, name)
        if before != after:
            found.append(f"x-roost.{name}: {before:g} s becomes {after:g} s")
    if held.probes != part.probes:
        found.append("x-roost.probes: they are other ones")
    if held.restarts_with != part.restarts_with:
        before, after = (", ".join(each.restarts_with) or "none" for each in (held, part))
        found.append(f"it restarts with: {before} becomes {after}")
    if held.applied is None and part.applied is not None:
        found.append("how it was asked for is written down, for snapshots")
    if held.awaited != part.awaited:
        found.append(f"others wait for: {held.awaited} becomes {part.awaited}")
    return found


def stays(known: WorkloadRecord, held: Part, part: Part) -> None:
    """Have `part` be one that leaves the container alone; it tries only what says so itself."""
    part.stays, part.new = True, known.stable
    verify = [each.gpu.verify if each.gpu else None for each in (held, part)]
    part.tried = held.probes != part.probes or verify[0] != verify[1]
    if part.old is not None and known.recipe is not None:
        part.old = msgspec.structs.replace(
            part.old, recipe=known.recipe, gpus=known.gpus, gpu_way=known.gpu_way
        )


def _same(before: Recipe, after: Recipe) -> bool:
    """Whether two recipes make the same container; which release asked for it does not matter."""

    def bare(recipe: Recipe) -> Recipe:
        labels = {
            key: value
            for key, value in (recipe.body.get("Labels") or {}).items()
            if not key.startswith("roost.")
        }
        return msgspec.structs.replace(
            recipe, body={**recipe.body, "Labels": labels}, makes_networks={}
        )

    return bare(before) == bare(after)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
