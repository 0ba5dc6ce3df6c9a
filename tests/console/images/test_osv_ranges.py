"""Which versions an advisory is about: OSV's pseudo-code, and the ecosystems' own tools, agree."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from agent.protocol.packages import Kind
from console.images.osv import OsvAffected, OsvEvent, OsvRange
from console.images.osv_ranges import ORDERS, is_affected

# Each in its order: dpkg's and rpm's as those say (below), PEP 440's, apk's and SemVer's as written
# in their own documents.
ORDERED: dict[Kind, list[str]] = {
    "deb": ["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.0-10", "1.0a-1", "1:0.1-1"],
    "rpm": ["1.0~rc1-1", "1.0-1.el9", "1.0-1.el9_2", "1.0-2.el9", "1.0-10.el9", "1.0.1-1", "1:0-1"],
    "apk": ["1.0_alpha1-r0", "1.0_rc2-r1", "1.0-r0", "1.0-r2", "1.0-r10", "1.0_p1-r0", "1.0.1-r0"],
    "pypi": ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1.10", "1!0.1"],
    "npm": ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.1", "1.0.0", "1.0.2", "1.0.10", "2.0.0"],
}
KINDS = sorted(ORDERED)
Events = list[tuple[str, int]]


def vulnerable(own: int, events: Events) -> bool:
    """OSV's evaluation, by its document; versions are numbers here, -1 is its "0"."""
    limits = [at for what, at in events if what == "limit"]
    if limits and not any(own < at for at in limits):
        return False
    state = False
    for what, at in sorted(events, key=lambda event: event[1]):
        if what == "introduced" and own >= at:
            state = True
        elif (what == "fixed" and own >= at) or (what == "last_affected" and own > at):
            state = False
    return state


@st.composite
def ranges(draw: st.DrawFn) -> tuple[Kind, int, list[Events]]:
    kind: Kind = draw(st.sampled_from(KINDS))
    count = len(ORDERED[kind])

    def events() -> Events:
        places = draw(st.lists(st.integers(-1, count - 1), min_size=1, max_size=5, unique=True))
        ends = draw(st.sampled_from(["fixed", "last_affected"]))
        kinds = st.sampled_from(["introduced", ends, ends, "limit"])
        made = [("introduced" if at < 0 else draw(kinds), at) for at in places]
        return draw(st.permutations(made))

    several = [events() for _ in range(draw(st.integers(1, 2)))]
    return kind, draw(st.integers(0, count - 1)), several


def of(kind: Kind, events: Events) -> OsvRange:
    versions = ["0" if at < 0 else ORDERED[kind][at] for _, at in events]
    made = [OsvEvent(**{what: text}) for (what, _), text in zip(events, versions, strict=True)]
    return OsvRange(type="SEMVER" if kind == "npm" else "ECOSYSTEM", events=made)


@settings(max_examples=1500, deadline=None)
@given(ranges())
def test_as_osv_says(asked: tuple[Kind, int, list[Events]]) -> None:
    kind, own, several = asked
    affected = OsvAffected(ranges=[of(kind, events) for events in several])
    is_hit, fixed = is_affected(affected, ORDERED[kind][own], kind)
    assert is_hit is any(vulnerable(own, events) for events in several)
    later = [at for events in several for what, at in events if what == "fixed" and at > own]
    assert fixed == (ORDERED[kind][min(later)] if later else None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_orders(kind: Kind) -> None:
    order = ORDERS[kind]
    for at, one in enumerate(ORDERED[kind]):
        for other in ORDERED[kind][at + 1 :]:
            assert order(one) < order(other), (one, other)
            assert not order(other) < order(one), (one, other)


def test_commits_and_listed_versions() -> None:
    commits = OsvRange(type="GIT", events=[OsvEvent(introduced="0")])
    assert is_affected(OsvAffected(ranges=[commits]), "1.0-1", "deb") == (False, None)
    listed = OsvAffected(versions=["1.0", "not a version", "2.0"])
    assert is_affected(listed, "1.0.0", "pypi")[0]
    assert not is_affected(listed, "1.1", "pypi")[0]
    assert is_affected(listed, "2.0", "deb")[0]
    assert not is_affected(OsvAffected(versions=["1.0-1"]), "1.0-1.0", "deb")[0]


def test_no_end_of_the_limit() -> None:
    forever = [OsvEvent(introduced="0"), OsvEvent(limit="*")]
    endless = OsvAffected(ranges=[OsvRange(type="SEMVER", events=forever)])
    assert is_affected(endless, "9.9.9", "npm")[0]


WORDS = st.text("0123456789ab.+~", min_size=1, max_size=6).map(lambda word: f"1{word}")


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg")
@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS)
def test_as_dpkg_says(one: str, other: str) -> None:
    older = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False)
    assert (ORDERS["deb"](one) < ORDERS["deb"](other)) is (older.returncode == 0)


def _as_rpm_says(pairs: Sequence[tuple[str, str]]) -> list[int]:
    calls = " ".join(f'print(rpm.vercmp("{one}", "{other}") .. " ")' for one, other in pairs)
    asked = subprocess.run(
        ["rpm", "--eval", f"%{{lua: {calls}}}"], capture_output=True, text=True, check=True
    )
    return [int(word) for word in asked.stdout.split()]


@pytest.mark.real("rpm")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=10))
def test_as_rpm_says(pairs: list[tuple[str, str]]) -> None:
    order = ORDERS["rpm"]
    for (one, other), said in zip(pairs, _as_rpm_says(pairs), strict=True):
        assert (order(one) < order(other)) is (said < 0), (one, other)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS)
def test_as_packaging_says(one: str, other: str) -> None:
    try:
        expected = Version(one) < Version(other)
    except ValueError:
        assume(False)
    assert (ORDERS["pypi"](one) < ORDERS["pypi"](other)) is expected
