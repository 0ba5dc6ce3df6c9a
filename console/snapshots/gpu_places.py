"""Pins of one node's GPUs as pins of another node's: by index, and by MIG slice of a profile."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError

PINNED = ("GPU-", "MIG-", "TEGRA-")
# A GPU's index; of a slice also its profile, and which of that profile's it is.
Place = tuple[int, str | None, int | None]


def moved_uuid(uuid: str, there: Sequence[Gpu], here: Sequence[Gpu]) -> str:
    """The GPU or slice `here` that is where this one was `there`; itself where it is here.

    Args:
        uuid: all of it, or its beginning.

    Raises:
        ProblemError: `snapshot.refused`: there is none.
    """
    known = {_uuid: place for place, _uuid in _places(here).items()}
    if any(each.startswith(uuid) for each in known):
        return uuid
    place = next((at for at, each in _places(there).items() if each.startswith(uuid)), None)
    found = None if place is None else _places(here).get(place)
    if found is None:
        where = "" if place is None else f", {_words(place)} of the snapshot's node,"
        raise ProblemError(
            "snapshot.refused",
            f"{uuid}{where} has no counterpart: the node has {len(here)} GPUs",
            params={"gpu": uuid},
            hint="Apply the workload's file with another x-roost.gpu, or use a node with that GPU.",
        )
    return found


def moved_select(select: str, there: Sequence[Gpu], here: Sequence[Gpu]) -> str:
    """A `GpuRequest.select` as it has to be on another node. Raises as `moved_uuid`."""
    words = [word.strip() for word in select.split(",")]
    return ",".join(
        moved_uuid(word, there, here) if word.startswith(PINNED) else word for word in words
    )


def _words(place: Place) -> str:
    index, profile, number = place
    return f"GPU {index}" if number is None else f"slice {profile or '?'} of GPU {index}"


def _places(gpus: Sequence[Gpu]) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for gpu in gpus:
        found[gpu.index, None, None] = gpu.uuid
        of_profile: dict[str | None, int] = {}
        for each in sorted(gpu.mig_instances, key=lambda one: one.index):
            number = of_profile.get(each.profile, 0)
            found[gpu.index, each.profile, number] = each.uuid
            of_profile[each.profile] = number + 1
    return found
