"""The first line of every screen: which fleet, how it is, and how this console runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from console.fleet.picture import NodeState, NodeView
from console.text import clean, plural
from console.tui.look.glyphs import Glyphs
from console.tui.profile import Profile
from console.tui.rows.fleet import STATE_TONES, is_simulated
from console.tui.widgets.line import Piece

_NAME_WIDTH = 24
_STATES: tuple[NodeState, ...] = ("live", "connecting", "stale", "offline", "refused")


def header_left(
    fleet_name: str, nodes: Iterable[NodeView], room: int, glyphs: Glyphs
) -> list[Piece]:
    """The fleet's name, its size, and how many nodes are in each state that there is.

    In less than `room` cells; the states' signs stand for their words where these do not fit.
    """
    views = list(nodes)
    counts = Counter(view.state for view in views)
    simulated = sum(is_simulated(view) for view in views)
    size = plural(len(views), "node") + (f", {simulated} simulated" if simulated else "")
    name = clean(fleet_name)
    if len(name) > _NAME_WIDTH:
        name = glyphs.more + name[1 - _NAME_WIDTH :]
    pieces: list[Piece] = [("roost ", "accent"), (name, ""), (f"  {size}", "dim")]
    words = [(f"  {counts[s]} {s}", STATE_TONES[s]) for s in _STATES if counts[s]]
    if sum(len(text) for text, _ in [*pieces, *words]) > room:
        words = [(f" {glyphs.states[s]}{counts[s]}", STATE_TONES[s]) for s in _STATES if counts[s]]
    return [*pieces, *words]


def header_right(
    profile: Profile,
    *,
    paused: bool,
    refresh_seconds: float,
    bytes_per_second: float | None,
) -> list[Piece]:
    """What differs from the usual, in words."""
    pieces: list[Piece] = []
    if bytes_per_second is not None:
        pieces.append((f" {bytes_per_second:.0f} B/s", "dim"))
    if paused:
        pieces.append((" PAUSED", "warn"))
    if profile.read_only:
        pieces.append((" READ-ONLY", "warn"))
    if profile.lean:
        pieces.append((" lean", "dim"))
    pieces.append((f" {refresh_seconds:g}s", "dim"))
    return pieces
