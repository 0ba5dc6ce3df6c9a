"""Grants end by a clock that only counts, and there are not too many of them."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from agent.site.grants import GRANTS_LIMIT, Grants


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_grant_is_good_for_its_layers_and_its_time() -> None:
    clock = Clock()
    grants = Grants(clock=clock)
    one = grants.mint(["a", "b"], lifetime_seconds=10)
    two = grants.mint(["c"], lifetime_seconds=20)
    assert (grants.granted(one), grants.granted(two)) == (frozenset("ab"), frozenset("c"))
    clock.now += 10
    assert (grants.granted(one), grants.granted(two)) == (None, frozenset("c"))


@pytest.mark.parametrize("secret", ["", "x", "\udcff\u1234"[1:], "x" * 10_000])
def test_what_was_never_minted_is_good_for_nothing(secret: str) -> None:
    grants = Grants()
    grants.mint(["a"], lifetime_seconds=10)
    assert grants.granted(secret) is None


def test_the_secret_itself_is_not_kept() -> None:
    grants = Grants()
    secret = grants.mint(["a"], lifetime_seconds=10)
    assert secret not in repr(vars(grants))


def test_expired_ones_make_room() -> None:
    clock = Clock()
    grants = Grants(clock=clock)
    for _ in range(GRANTS_LIMIT):
        grants.mint(["a"], lifetime_seconds=10)
    with pytest.raises(ProblemError) as raised:
        grants.mint(["a"], lifetime_seconds=10)
    assert raised.value.code == "site.too_many"
    clock.now += 11
    assert grants.granted(grants.mint(["b"], lifetime_seconds=1)) == frozenset("b")
