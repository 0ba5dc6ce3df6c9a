"""The table: who is killed, in which state, and what follows.

A point is one of `dying_runner` where the first who is killed is the runner, else one of
`dying_agent`: those see to it that all named are killed there. `way` "back": the rollout is aborted
once its candidate has this weight.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Who = Literal["runner", "agent", "proxy", "dockerd"]


class Case(NamedTuple):
    """`end`: of the rollout; the node ends done with "done", else as it was before."""

    who: tuple[Who, ...]
    point: str
    end: Literal["done", "aborted", "failed"] = "done"
    strategy: Literal["weighted", "start-then-stop"] = "weighted"
    back_at: int | None = None
    made: int = 1  # containers

    @property
    def loses(self) -> bool:
        """Without HAProxy, or without containers, nobody answers; else the strategy promises it."""
        return not {"proxy", "dockerd"}.isdisjoint(self.who)

    def __str__(self) -> str:
        back = "" if self.back_at is None else f", back at {self.back_at}"
        return f"{' and '.join(self.who)}: {self.point}, {self.strategy}{back}"


RUNNER = [
    Case(("runner",), "after preparing"),
    Case(("runner",), "after applying"),
    Case(("runner",), "before begun"),
    Case(("runner",), "after canary 30"),
    Case(("runner",), "after canary 100"),
    Case(("runner",), "after is gate"),
    Case(("runner",), "after confirming"),
    Case(("runner",), "before done"),
    Case(("runner",), "after is done"),
    Case(("runner",), "after begun", strategy="start-then-stop"),
    Case(("runner",), "before reverting", "aborted", back_at=30),  # the wish is not taken
    Case(("runner",), "after reverting", "aborted", back_at=30),
    Case(("runner",), "before reverted", "aborted", back_at=100),
]
AGENT = [
    # Nobody was told of a job: it goes back, and that is the node's answer.
    Case(("agent",), "after planned", "failed", made=0),
    Case(("agent",), "after preparing"),
    Case(("agent",), "after prepared"),
    Case(("agent",), "after starting"),
    Case(("agent",), "after probing"),
    Case(("agent",), "after canary"),
    Case(("agent",), "after told 30"),
    Case(("agent",), "before telling 30"),
    Case(("agent",), "before weight 30"),
    Case(("agent",), "after confirming"),
    Case(("agent",), "before draining"),
    Case(("agent",), "before done"),
    Case(("agent",), "after reverting", "aborted", back_at=30),
    Case(("agent",), "before draining", "aborted", back_at=30),
    Case(("agent",), "before reverted", "aborted", back_at=100),
    Case(("agent",), "after canary", strategy="start-then-stop"),
    Case(("agent",), "after reverting", "aborted", strategy="start-then-stop", back_at=30),
]
PROXY = [
    Case(("proxy",), "after canary"),
    Case(("proxy",), "before telling 30"),
    Case(("proxy",), "after weight 30"),
    Case(("proxy",), "before draining"),
    Case(("proxy",), "after reverting", "aborted", back_at=30),
    Case(("proxy",), "before draining", "aborted", back_at=30),
]
DOCKERD = [
    Case(("dockerd",), "after preparing"),
    Case(("dockerd",), "after prepared"),
    Case(("dockerd",), "after starting"),
    Case(("dockerd",), "after probing"),
    Case(("dockerd",), "after weight 30"),
    Case(("dockerd",), "after confirming"),
    Case(("dockerd",), "after reverting", "aborted", back_at=30),
]
TWO_AT_ONCE = [
    Case(("agent", "proxy"), "after told 30"),
    Case(("agent", "proxy"), "after reverting", "aborted", back_at=30),
    Case(("runner", "agent"), "after canary 30"),
    Case(("runner", "agent"), "before confirming"),
    Case(("runner", "agent"), "after reverting", "aborted", back_at=30),
    Case(("agent", "dockerd"), "after starting"),
    Case(("agent", "dockerd"), "after weight 30"),
    Case(("agent", "dockerd"), "after reverting", "aborted", back_at=30),
]
