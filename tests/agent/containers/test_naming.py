"""Which container a name, an id or the start of an id means."""

from __future__ import annotations

import pytest

from agent.containers.naming import checked, find, fits
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError
from tests.agent.containers.answers import container

ALL = {
    one.id: one
    for one in (
        container(0xA1 << 248, "detector-0"),
        container(0xA2 << 248, "detector-1"),
        container(0xB1 << 248, "a1"),
    )
}


def named(name: str) -> Container:
    return next(one for one in ALL.values() if one.name == name)


@pytest.mark.parametrize("name", ["detector-0", "/detector-0", f"{0xA1 << 248:064x}", "a100"])
def test_an_id_a_name_or_the_start_of_an_id(name: str) -> None:
    assert find(name, ALL) is named("detector-0")


def test_a_name_wins_over_the_start_of_an_id() -> None:
    assert find("a1", ALL) is named("a1")


def test_the_start_of_two_ids_is_ambiguous() -> None:
    with pytest.raises(ProblemError) as raised:
        find("a", ALL)
    assert raised.value.code == "container.ambiguous"
    assert raised.value.params["matches"] == sorted(
        named(one).id for one in ("detector-0", "detector-1")
    )
    assert "detector-1 (a20000000000)" in raised.value.detail


def test_a_name_that_is_not_known_may_be_known_to_the_runtime() -> None:
    assert checked("just-made", ALL) == "just-made"
    assert checked("/detector-0", ALL) == "detector-0"
    with pytest.raises(ProblemError) as raised:
        find("just-made", ALL)
    assert raised.value.code == "container.not_found"


def test_whether_an_answer_is_what_was_asked_for() -> None:
    one = named("detector-0")
    assert fits("detector-0", one)
    assert fits(one.id[:5], one)
    assert not fits("detector", one)


@pytest.mark.parametrize(
    "name", ["", "/", "..", "../images", "a/../b", "x y", "x%2e", "\x1b[31mred", "é", "a?b=c", "-a"]
)
def test_what_cannot_be_a_name_never_reaches_the_runtime(name: str) -> None:
    with pytest.raises(ProblemError) as raised:
        find(name, ALL)
    assert raised.value.code == "container.not_found"


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(ProblemError) as raised:
        find("detector 1", ALL)
    assert raised.value.params["nearest"] == "detector-1"
    assert raised.value.hint == "Did you mean 'detector-1'?"
