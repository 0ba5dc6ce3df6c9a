"""Why a load does not fit on a node's disks, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.images import Freeable, SpaceNeed
from agent.protocol.problems import Param, ProblemError
from agent.rules.sizes import size

NAMED_IMAGES = 5  # in a sentence; `params` has them all


def needs_a_word(need: SpaceNeed, chosen: Sequence[Freeable]) -> ProblemError:
    """`chosen` would be enough, but images among it go only when somebody says so."""
    images = [item for item in chosen if item.kind == "image"]
    layers = sum(item.size_bytes for item in chosen if item.kind != "image")
    what = "1 image" if len(images) == 1 else f"{len(images)} images"
    beside = f", beside {size(layers)} of layers that are kept for later" if layers else ""
    return ProblemError(
        "space.short",
        f"{_figures(need)}; removing {what} would make room{beside}: {_named(images)}",
        params={
            **_params(need),
            "freeable_bytes": sum(item.size_bytes for item in chosen),
            "make_room": True,
            "images": [item.name for item in images],
            "images_bytes": sum(item.size_bytes for item in images),
        },
        hint="Add --make-room to have them removed; Roost loaded them, and nothing uses them."
        f" Or remove others: roost image rm.{_waiting(need)}",
    )


def too_little(need: SpaceNeed, freeable: int, reason: str | None) -> ProblemError:
    """Even without all that could go, which is `freeable` bytes. `reason`: why images do not count.

    The hint is about the disk that it is: removing images only helps on the runtime's.
    """
    unknown = f" (what images take is not known: {reason})" if reason else ""
    return ProblemError(
        "space.short",
        f"{_figures(need)}; {size(freeable)} could be freed{unknown}",
        params={**_params(need), "freeable_bytes": freeable, "make_room": False},
        hint=_mend(need) + _waiting(need),
    )


def _figures(need: SpaceNeed) -> str:
    kept = [f"{size(need.spare_bytes)} stay free as a spare"]
    if need.reserved_bytes:
        kept.append(f"{size(need.reserved_bytes)} are held for other jobs")
    return (
        f"{size(need.needed_bytes)} are needed at {need.path}, and {size(need.free_bytes)} can be"
        f" had there ({', '.join(kept)})"
    )


def _params(need: SpaceNeed) -> dict[str, Param]:
    return {
        "path": need.path,
        "purposes": need.purposes,
        "needed_bytes": need.needed_bytes,
        "free_bytes": need.free_bytes,
        "reserved_bytes": need.reserved_bytes,
        "spare_bytes": need.spare_bytes,
    }


def _named(images: Sequence[Freeable]) -> str:
    named = [f"{item.name} ({size(item.size_bytes)})" for item in images[:NAMED_IMAGES]]
    more = len(images) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _mend(need: SpaceNeed) -> str:
    if "runtime" in need.purposes:
        return "Remove images that are not needed: roost image ls, roost image rm."
    if "blobs" in need.purposes:
        return (
            "That disk has the agent's own files, not the images: look what fills it (df, du), or"
            " have agent.yaml name a folder on a larger one as `state`."
        )
    return "The runtime unpacks there while it loads: look what fills it (df, du)."


def _waiting(need: SpaceNeed) -> str:
    return " Or end jobs that wait: roost job ls." if need.reserved_bytes else ""
