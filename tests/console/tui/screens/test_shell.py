"""A shell on a node, or in a container."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

import msgspec
import pytest
from textual.app import SuspendNotSupported

from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.shell import run_in_terminal
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import make_node
from tests.console.tui.showing import settled


class Terminal:
    """An app that can be suspended, and remembers it."""

    def __init__(self) -> None:
        self.suspended = 0

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        self.suspended += 1
        yield


async def ran(*command: str) -> str:
    app = Terminal()
    before = signal.getsignal(signal.SIGINT)
    said = await run_in_terminal(app, command, title="cam \x1b[2J")  # type: ignore[arg-type]
    assert app.suspended == 1
    assert signal.getsignal(signal.SIGINT) is before
    return said


async def test_what_came_of_it_is_said() -> None:
    assert await ran(sys.executable, "-c", "") == "Back from cam \\x1b[2J."
    assert await ran("/nonexistent/ssh") == "/nonexistent/ssh: No such file or directory"


async def test_ctrl_c_belongs_to_the_command() -> None:
    script = "import signal; exit(signal.getsignal(2) is not signal.default_int_handler)"
    assert (await ran(sys.executable, "-c", script)).startswith("Back from")


async def test_what_fails_at_once_can_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stdin:
        lines = 0

        def readline(self) -> str:
            Stdin.lines += 1
            return "\n"

    monkeypatch.setattr(sys, "__stdin__", Stdin())
    said = await ran(sys.executable, "-c", "exit(7)")
    assert said == "The shell on cam \\x1b[2J has ended with 7."
    assert Stdin.lines == 1
    assert "Enter goes back to Roost" in capsys.readouterr().out


async def test_a_terminal_that_cannot_be_given_away() -> None:
    class Fixed:
        def suspend(self) -> None:
            raise SuspendNotSupported("no")

    said = await run_in_terminal(Fixed(), ["true"], title="x")  # type: ignore[arg-type]
    assert said == "This terminal cannot be given to a shell."


@pytest.mark.parametrize(
    ("first", "keys", "asked"),
    [
        ("fleet", ["s"], ("cam", None)),
        ("containers", ["down", "s"], ("cam", "gateway")),
        ("node cam", ["s"], ("cam", "detector")),
        ("node cam", ["tab", "s"], ("cam", None)),
    ],
)
async def test_s_asks_for_the_right_one(
    make_app: MakeApp, first: str, keys: list[str], asked: tuple[str, str | None]
) -> None:
    app = make_app([make_node("cam")], first=first)
    seen = shells_of(app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
    assert seen == [asked]


async def test_a_node_without_a_shell_says_why(make_app: MakeApp) -> None:
    app = make_app([make_node("cam")])
    seen = shells_of(app, fails=ProblemError("console.usage", "cam is reached over https"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        assert "cam is reached over https" in await settled(pilot)
    assert seen == [("cam", None)]


@pytest.mark.parametrize("said_by", ["label", "agent", "runtime"])
async def test_a_simulated_node_has_no_shell(make_app: MakeApp, said_by: str) -> None:
    node = make_node("cam")
    node.entry.address = "unix:///tmp/demo/cam.sock"
    if said_by == "label":  # never reached: only fleet.yaml says it
        node.entry.labels["simulated"] = "true"
        node.sections = {}
    elif said_by == "agent":
        node.sections["facts"][""]["agent"]["simulated"] = True
    else:
        node.sections["node"][""]["runtime_state"] = "simulated"
    app = make_app([node])
    seen = shells_of(app)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "1 node, 1 simulated" in await settled(pilot)
        await pilot.press("s")
        assert "cam is simulated: there is no machine to open a shell on." in await settled(pilot)
    assert seen == []


async def test_a_shell_on_a_unix_node_is_said_to_be_on_this_machine(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []

    async def run(_app: object, _command: object, *, title: str) -> str:
        titles.append(title)
        return f"Back from {title}."

    monkeypatch.setattr("console.tui.shell.run_in_terminal", run)
    node = make_node("here")
    node.entry.address = "unix:///run/roost/agent.sock"
    app = make_app([node, make_node("there")])
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        assert "Back from here (this machine)." in await settled(pilot)
        await pilot.press("down", "s")
        await settled(pilot)
    assert titles == ["here (this machine)", "there"]


async def test_there_is_no_shell_in_what_does_not_run(make_app: MakeApp) -> None:
    node = make_node("cam", containers=1)
    next(iter(node.sections["containers"].values()))["state"] = "exited"
    app = make_app([node], first="containers")
    seen = shells_of(app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        assert "detector is exited: there is no shell in it." in await settled(pilot)
    assert seen == []


def shells_of(app: RoostApp, *, fails: ProblemError | None = None) -> list[tuple[str, str | None]]:
    """The shells that are asked for; each would run `true`."""
    seen: list[tuple[str, str | None]] = []

    def command(view: object, container: str | None) -> list[str]:
        seen.append((view.name, container))  # type: ignore[attr-defined]
        if fails is not None:
            raise fails
        return ["true"]

    app.context = msgspec.structs.replace(app.context, shell_command=command)
    return seen
