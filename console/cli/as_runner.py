"""Reaching nodes as a rollout's runner will: without the keys of this login's ssh-agent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.text import plural

# These a runner would meet on every try; a node that is only away may come back.
_NEVER = ("ssh.", "auth.", "link.fingerprint", "link.token_missing", "fleet.")
_AGENT = "SSH_AUTH_SOCK"
NAMED = 5
HINT = (
    "Give the runner a key of its own (~/.ssh/config), or steer it from this terminal: --attached"
)


def refusing_runner(setup: Setup, entries: Sequence[NodeEntry]) -> ProblemError | None:
    """`rollout.credentials` where nodes would refuse the runner; None: none of them would."""
    with _without_agent():
        answers = ask_nodes(setup, entries, lambda _, client: client.node())
    return _refusal(answers)


def warning(setup: Setup, entries: Sequence[NodeEntry]) -> Iterator[str]:
    """The same for a plan, of nodes that this login reaches; nothing where it has no ssh-agent."""
    through_ssh = [entry for entry in entries if entry.address.startswith("ssh://")]
    if not os.environ.get(_AGENT) or not through_ssh:
        return
    if (problem := refusing_runner(setup, through_ssh)) is not None:
        yield f"rollout start will refuse this: {problem.detail}"
        yield f"hint: {problem.hint}"


@contextmanager
def _without_agent() -> Iterator[None]:
    kept = os.environ.pop(_AGENT, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[_AGENT] = kept


def _refusal(answers: Sequence[Answer[NodeFacts]]) -> ProblemError | None:
    refused = [
        answer
        for answer in answers
        if answer.problem is not None and answer.problem.code.startswith(_NEVER)
    ]
    if not refused:
        return None
    problem = refused[0].problem
    names = [answer.entry.name for answer in refused]
    return ProblemError(
        "rollout.credentials",
        f"{plural(len(names), 'node')} cannot be reached without your login"
        f" ({', '.join(names[:NAMED])}): {problem.detail if problem else ''}",
        params={"nodes": names},
        hint=HINT,
    )
