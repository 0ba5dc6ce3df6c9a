"""What a rollout asks of nodes, and what came of it: all that steering sees of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from agent.protocol.arms import Arms
from agent.protocol.deployments import DeploymentState

Ask = Literal["prepare", "apply", "look", "renew", "arms", "confirm", "revert", "reach"]


class Want(NamedTuple):
    """Something to ask a node; with `renew`, how many percent of requests its candidate gets."""

    node: str
    ask: Ask
    weight: int | None = None


class Seen(msgspec.Struct, kw_only=True, frozen=True):
    """What came of it.

    preparing: it is at it, and `why` says how far. prepared: it has all that it needs. not_yet: it
    answers, and cannot do that for the moment. begun: its deployment is known. unchanged: it runs
    that already. refused: nothing was changed, and will not be. nothing: there is nothing to take
    back. left: something newer is there, and stays. arms: what it measured. reached: it answers.
    unreached: nobody answered.
    """

    node: str
    what: Literal[
        "preparing",
        "prepared",
        "not_yet",
        "begun",
        "unchanged",
        "state",
        "arms",
        "refused",
        "nothing",
        "left",
        "reached",
        "unreached",
    ]
    deployment: str | None = None
    state: DeploymentState | None = None
    boot: str | None = None  # of the agent that answers; another one: that one has ended
    weight: int | None = None  # of its candidate; None: its requests are not split
    arms: Arms | None = None
    tried: bool = False  # it may have been told to change, whatever came of that
    why: str = ""
