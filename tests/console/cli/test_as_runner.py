"""What a plan and a start find out of nodes that only this login reaches."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.cli import as_runner
from console.cli.run import Answer
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry

HERE = NodeEntry(name="here", address="unix:///x")
FAR, AWAY = (NodeEntry(name=name, address=f"ssh://{name}") for name in ("far", "away"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were asked; `far` knows no key but that of the login, and `away` is away."""
    names: list[str] = []

    def ask(setup: Setup, entries: Sequence[NodeEntry], ask: object) -> list[Answer[NodeFacts]]:
        del setup, ask
        assert "SSH_AUTH_SOCK" not in os.environ
        names.extend(entry.name for entry in entries)
        codes = {"far": "ssh.denied", "away": "link.unreachable"}
        return [
            Answer(entry, problem=ProblemError(codes[entry.name], "Permission denied"))
            for entry in entries
            if entry.name in codes
        ]

    monkeypatch.setattr(as_runner, "ask_nodes", ask)
    monkeypatch.setenv("SSH_AUTH_SOCK", "agent.sock")
    return names


def test_a_plan_warns_of_what_start_refuses(asked: list[str]) -> None:
    said = [*as_runner.warning(Setup(), [HERE, FAR, AWAY])]
    assert said[0] == (
        "rollout start will refuse this: 1 node cannot be reached without your login (far):"
        " Permission denied"
    )
    assert said[1].startswith("hint: Give the runner a key of its own")
    assert asked == ["far", "away"]
    assert os.environ["SSH_AUTH_SOCK"] == "agent.sock"
    refused = as_runner.refusing_runner(Setup(), [HERE, FAR, AWAY])
    assert refused is not None
    assert (refused.code, refused.params) == ("rollout.credentials", {"nodes": ["far"]})


def test_nobody_is_asked_again_for_nothing(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [*as_runner.warning(Setup(), [HERE])] == []
    assert as_runner.refusing_runner(Setup(), [HERE, AWAY]) is None
    asked.clear()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert [*as_runner.warning(Setup(), [FAR])] == []
    assert asked == []
