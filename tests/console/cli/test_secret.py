"""`roost secret` to a real agent: where a value comes from, and that it is shown nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.protocol.node_secrets import SECRET_LIMIT_BYTES
from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import ROOST, Done, environment, roost, write_fleet
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)

VALUE = "correct horse battery staple"
WAIT_SECONDS = 20


@pytest.fixture
def agent(short_folder: Path) -> Iterator[AgentProcess]:
    with AgentProcess(short_folder, {"secrets": str(short_folder / "secrets")}) as agent:
        yield agent


@pytest.fixture
def fleet(agent: AgentProcess, tmp_path: Path) -> Path:
    """One node, under two names: one is in production."""
    address = f"unix://{agent.sockets['operator']}"
    entries = [
        NodeEntry(name="lab", address=address),
        NodeEntry(name="line", address=address, production=True),
    ]
    return write_fleet(tmp_path / "fleet.yaml", entries)


def secret(fleet: Path, *arguments: str, given: str = "") -> Done:
    return roost(fleet.parent, "--fleet", fleet, "secret", *arguments, given=given)


def test_a_value_on_standard_input_is_kept_to_the_byte(agent: AgentProcess, fleet: Path) -> None:
    done = secret(fleet, "set", "lab", "camera", given=f"{VALUE}\n")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        "lab: camera is set",
        "note: the value ends with a new line, which is part of it",
    ]
    kept = agent.folder / "secrets" / "camera"
    assert kept.read_text() == f"{VALUE}\n"
    [listed] = secret(fleet, "ls", "lab", "--json").json
    assert (listed["name"], listed["used_by"]) == ("camera", [])
    assert secret(fleet, "rm", "lab", "camera").err == "lab: camera is removed\n"
    assert not kept.exists()
    again = secret(fleet, "rm", "lab", "camera")
    assert (again.code, "has no secret camera" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("camera", "", "the value of camera is empty"),
        ("camera", "x" * (SECRET_LIMIT_BYTES + 1), "more than 512 KiB"),
        (".camera", VALUE, "name"),
        ("../camera", VALUE, ""),
    ],
)
def test_what_is_refused(
    agent: AgentProcess, fleet: Path, name: str, given: str, said: str
) -> None:
    done = secret(fleet, "set", "lab", name, given=given)
    assert done.code in (1, 2)
    assert said in done.err
    assert VALUE not in done.err
    assert not (agent.folder / "secrets").exists()


def test_a_value_is_no_argument(fleet: Path) -> None:
    done = secret(fleet, "set", "lab", "camera", VALUE)
    assert done.code == 2
    assert "a value is no argument" in done.err
    assert VALUE not in done.err


def test_on_a_terminal_it_is_asked_for_and_not_shown(agent: AgentProcess, fleet: Path) -> None:
    command = [str(ROOST), f"--fleet={fleet}", "secret", "set", "line", "camera"]
    with Terminal(command, env=environment(fleet.parent)) as terminal:
        terminal.wait_for("type the node's name", WAIT_SECONDS)
        terminal.send("line\r")
        terminal.wait_for("value of camera", WAIT_SECONDS)
        terminal.send(f"{VALUE}\r")
        terminal.wait_for("the same again", WAIT_SECONDS)
        terminal.send(f"{VALUE}\r")
        assert terminal.wait_exit(WAIT_SECONDS) == 0
        assert VALUE.encode() not in terminal.output
        assert "line: camera is set" in terminal.screen_text()
    assert (agent.folder / "secrets" / "camera").read_text() == VALUE


def test_production_is_not_changed_by_a_pipe_alone(agent: AgentProcess, fleet: Path) -> None:
    refused = secret(fleet, "set", "line", "camera", given=VALUE)
    assert (refused.code, "Add --yes if it is meant" in refused.err) == (2, True)
    assert not (agent.folder / "secrets").exists()
    assert secret(fleet, "set", "line", "camera", "--yes", given=VALUE).code == 0
