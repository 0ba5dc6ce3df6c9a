"""What is typed after `:`."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.tui.commands import Command, complete, parse_command


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
    assert caught.value.hint == "Did you mean :doctor?"


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("con", "containers "),
        ("containers @ca", "containers @cam-0"),
        ("containers @cam-02", "containers @cam-02 "),
        ("node g", "node gate-1 "),
        ("fleet si", "fleet si"),
        ("zz", "zz"),
        ("", ""),
    ],
)
def test_completion_goes_as_far_as_it_is_sure(text: str, completed: str) -> None:
    assert complete(text, ["cam-01", "cam-02", "gate-1"]) == completed
