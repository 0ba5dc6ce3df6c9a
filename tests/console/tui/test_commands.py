"""What is typed after `:`."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.tui.commands import (
    VIEWS,
    Command,
    choices,
    complete,
    hint_for,
    parse_command,
    views_named,
)
from console.tui.views import VIEW_HELP


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("fleet", Command("fleet")),
        (":nodes", Command("fleet")),
        ("containers @cam-01 /web", Command("containers", "@cam-01", "web")),
        ("ct/web", Command("containers", "", "web")),
        ("gpus /!t4", Command("gpus", "", "!t4")),
        ("fleet site=plant-7,gpu in (t4, a10)", Command("fleet", "site=plant-7,gpu in (t4, a10)")),
        ("fleet path=a/b", Command("fleet", "path=a/b")),
        ("doc", Command("doctor")),
        ("q!", Command("quit")),
        ("logs @cam-01 web", Command("logs", "@cam-01 web")),
        ("fleet /two words", Command("fleet", "", "two words")),
        ("Fleet", Command("fleet")),
        ("p", Command("push")),
        ("p/x", Command("push", "", "x")),
        ("pla @cam-01", Command("placement", "@cam-01")),
        ("im", Command("images")),
        ("up", Command("drivers")),
        ("n", Command("fleet")),  # a node would have to be named
        ("n cam-01", Command("node", "cam-01")),
    ],
)
def test_a_command_is_a_view_an_argument_and_a_filter(text: str, command: Command) -> None:
    assert parse_command(text) == command


@pytest.mark.parametrize(
    "command", [Command("gpus"), Command("containers", "@a", "b c"), Command("fleet", "x=1")]
)
def test_a_command_reads_back_as_it_was_written(command: Command) -> None:
    assert parse_command(str(command)) == command


@pytest.mark.parametrize("text", ["", ":", "zzz", "/x"])
def test_no_such_view(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_command(text)
    assert caught.value.code == "console.usage"
    assert "Views: fleet" in str(caught.value.hint)


def test_the_nearest_view_is_named() -> None:
    with pytest.raises(ProblemError) as caught:
        parse_command("docter")
    assert str(caught.value.hint).startswith("Did you mean :doctor? Views: fleet, node, ")


def test_all_views_are_listed_for_what_is_not_one() -> None:
    with pytest.raises(ProblemError) as caught:
        parse_command("pods")
    assert all(view in str(caught.value.hint) for view in VIEWS)
    assert list(VIEW_HELP) == list(VIEWS)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "Tab goes through views, ? lists them"),
        ("p", "Enter: push, not placement"),
        ("pl", ":placement [SELECTOR]"),  # a name of its own
        ("pu", ":push"),
        ("n", "Enter: fleet, not node"),
        ("n cam-01", "Enter: node, not fleet"),
        ("node ", ":node NODE"),
        ("images @cam-01 /x", ":images [SELECTOR]"),
        ("ct/web", ":containers [SELECTOR]"),
        ("zzz", "no such view"),
    ],
)
def test_what_enter_would_do_is_said(text: str, hint: str) -> None:
    assert hint_for(text) == hint


@pytest.mark.parametrize("view", VIEWS)
def test_every_name_is_its_view_alone(view: str) -> None:
    for name in (view, *VIEWS[view]):
        assert views_named(name, argument=False) == [view]


def test_the_choices_of_a_last_word() -> None:
    assert choices("", []) == list(VIEWS)
    assert choices("im", []) == ["images", "image"]
    assert choices("doctor @a,@c", ["a", "cam-1", "cam-2"]) == [
        "doctor @a,@cam-1",
        "doctor @a,@cam-2",
    ]
    assert choices("fleet si", ["si"]) == []


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("con", "containers "),
        ("containers @ca", "containers @cam-0"),
        ("containers @cam-02", "containers @cam-02 "),
        ("node g", "node gate-1 "),
        ("doctor @cam-01,@g", "doctor @cam-01,@gate-1 "),
        ("fleet si", "fleet si"),
        ("zz", "zz"),
        ("", ""),
    ],
)
def test_completion_goes_as_far_as_it_is_sure(text: str, completed: str) -> None:
    assert complete(text, ["cam-01", "cam-02", "gate-1"]) == completed
