"""Whether an advisory is about a version: OSV's own rules, in the order of each ecosystem."""

from __future__ import annotations

from collections.abc import Sequence

from univers.versions import (
    AlpineLinuxVersion,
    DebianVersion,
    InvalidVersion,
    PypiVersion,
    RpmVersion,
    SemverVersion,
    Version,
)

from agent.protocol.packages import Kind
from console.images.osv import OsvAffected, OsvEvent

ORDERS: dict[Kind, type[Version]] = {
    "deb": DebianVersion,
    "apk": AlpineLinuxVersion,
    "rpm": RpmVersion,
    "pypi": PypiVersion,
    "npm": SemverVersion,
}
BEGINNING = "0"  # OSV's word for before all versions
NO_LIMIT = "*"  # and for after all


def is_affected(affected: OsvAffected, version: str, kind: Kind) -> tuple[bool, str | None]:
    """Whether this version is, and the first later one that is not; None: none is named.

    Raises:
        univers.versions.InvalidVersion: one of them is no version of this kind.
    """
    order = ORDERS[kind]
    own = order(version)
    # Commits say nothing of versions.
    ranges = [
        each.events or () for each in affected.ranges or () if each.type in ("ECOSYSTEM", "SEMVER")
    ]
    is_hit = _is_listed(affected.versions or (), own, version, kind) or any(
        _before_limits(order, own, each) and _holds(order, own, each) for each in ranges
    )
    fixed = [event.fixed for events in ranges for event in events if event.fixed is not None]
    return is_hit, min((each for each in fixed if own < order(each)), key=order, default=None)


def _is_listed(versions: Sequence[str], own: Version, version: str, kind: Kind) -> bool:
    """By itself; of Python's also where it is written otherwise: 1.0 is 1.0.0."""
    if version in versions or kind != "pypi":
        return version in versions
    return any(_is_same(each, own) for each in versions)


def _is_same(version: str, own: Version) -> bool:
    try:
        return bool(PypiVersion(version) == own)
    except InvalidVersion:  # releases from before there was a rule
        return False


def _before_limits(order: type[Version], own: Version, events: Sequence[OsvEvent]) -> bool:
    limits = [event.limit for event in events if event.limit is not None]
    return not limits or any(each == NO_LIMIT or own < order(each) for each in limits)


def _holds(order: type[Version], own: Version, events: Sequence[OsvEvent]) -> bool:
    """By the last event that comes before this version, or with it."""
    latest: Version | None = None
    is_hit = False
    for event in events:
        if event.introduced == BEGINNING:
            is_hit = is_hit or latest is None
            continue
        text = event.introduced or event.fixed or event.last_affected
        if text is None:
            continue
        where = order(text)
        # By `<` alone: of some ecosystems' versions univers compares `<=` as texts.
        passed = where < own if event.last_affected is not None else not own < where
        if passed and (latest is None or not where < latest):
            latest, is_hit = where, event.introduced is not None
    return is_hit
