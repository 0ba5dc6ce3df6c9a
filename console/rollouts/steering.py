"""What a rollout does next: decided from its record and from what nodes said, and nothing else.

`Steering` changes the record and says what happened; who calls it writes that down before it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from agent.protocol.deployments import DeploymentState
from console.rollouts.record import (
    ENDED,
    SETTLED,
    UNCONFIRMED,
    UNTOUCHED,
    Event,
    Rollout,
    RolloutNode,
    Stage,
    State,
    Wish,
)
from console.text import age, plural

RUNNER = "the runner"
# A node that does not answer for so long when its turn comes is offline.
REACH_SECONDS = 60.0
# Beyond its lease a node has gone back, whatever its clock and ours do.
MARGIN_SECONDS = 60.0

Ask = Literal["prepare", "apply", "look", "renew", "confirm", "revert"]


class Want(NamedTuple):
    """Something to ask a node."""

    node: str
    ask: Ask


class Seen(msgspec.Struct, kw_only=True, frozen=True):
    """What came of it.

    preparing: it is at it, and `why` says how far. prepared: it has all that it needs. begun: its
    deployment is known. unchanged: it runs that already. refused: nothing was changed, and will not
    be. nothing: there is nothing to take back. unreached: nobody answered.
    """

    node: str
    what: Literal[
        "preparing", "prepared", "begun", "unchanged", "state", "refused", "nothing", "unreached"
    ]
    deployment: str | None = None
    state: DeploymentState | None = None
    why: str = ""


class Steering:
    """Steers one rollout. `now` is Unix time; it may stand still, and may jump."""

    def __init__(self, rollout: Rollout, happened: Callable[[Event], None]) -> None:
        self.rollout, self._happened = rollout, happened

    # what nodes said

    def hear(self, seen: Seen, now: float) -> None:
        """A node's answer to what was wanted of it."""
        node = next(each for each in self.rollout.nodes if each.name == seen.node)
        if node.stage in SETTLED:
            return
        if seen.what == "unreached":
            self._unreached(node, seen.why, now)
            return
        node.heard_at = now
        if seen.what in ("preparing", "prepared"):
            self._preparing(node, seen, now)
        elif seen.what == "begun":
            node.deployment = seen.deployment
        elif seen.state is not None:
            self._state(node, seen.state, seen.why, now)
        elif node.stage == "reverting":
            self._put(node, "reverted", now, "nothing had begun there")
        elif seen.what == "unchanged":
            self._put(node, "done", now, "it runs that already")
        elif seen.what == "refused":
            node.failed = True
            self._put(node, "cannot", now, seen.why)

    def _preparing(self, node: RolloutNode, seen: Seen, now: float) -> None:
        if node.stage != "preparing":
            return
        if seen.what == "prepared":
            self._put(node, "prepared", now, seen.why)
        else:
            node.why = seen.why  # how far it is: no event of its own

    def _state(self, node: RolloutNode, state: DeploymentState, why: str, now: float) -> None:
        if state == "stuck":
            node.failed = True
            self._put(node, "stuck", now, why)
        elif state == "reverted":
            node.failed = node.failed or not node.back
            self._put(node, "reverted", now, why)
        elif node.stage == "reverting":
            return
        elif state == "done":
            self._put(node, "done", now)
        elif state == "canary" and node.stage == "applying":
            self._put(node, "canary", now)

    def _unreached(self, node: RolloutNode, why: str, now: float) -> None:
        silent = now - max(node.heard_at, node.since)
        if node.stage == "preparing" or (node.stage == "applying" and node.deployment is None):
            if silent > REACH_SECONDS:
                self._put(node, "offline", now, why)
            return
        if silent > self.rollout.strategy.confirm_within + MARGIN_SECONDS:
            node.failed = node.failed or not node.back
            self._put(node, "lost", now, f"not heard of for {age(silent)}: {why}")

    # what people want

    def wish(self, wish: Wish, by: str, now: float) -> str | None:
        """Do it; None. Or why it cannot be done now."""
        rollout = self.rollout
        if refusal := why_not(rollout, wish):
            return refusal
        if wish == "pause":
            self._turn("paused", now, by=by)
        elif wish == "resume":
            rollout.accepted = self._failures()
            self._turn("running", now, by=by)
        elif wish == "promote":
            rollout.promoted = True
            self._turn("running", now, "the wave is let through", by=by)
        elif wish == "retry":
            self._retry(by, now)
        else:
            ends_as: State = "undone" if wish == "undo" else "aborted"
            self._take_back(ends_as, now, by=by, done=wish != "abort")
        return None

    def _retry(self, by: str, now: float) -> None:
        rollout = self.rollout
        for node in rollout.nodes:
            if node.stage in SETTLED and node.stage not in ("done", "stuck"):
                node.attempt, node.deployment = node.attempt + 1, None
                node.failed = node.back = False
                self._put(node, "planned", now, by=by)
        rollout.wave = min(node.wave for node in rollout.nodes if node.stage == "planned")
        rollout.soaks_since, rollout.promoted = None, False
        rollout.accepted = self._failures()
        self._turn("running", now, "once more", by=by)

    # what follows

    def step(self, now: float) -> None:
        """Go on as far as that is possible now."""
        rollout = self.rollout
        if rollout.state in ENDED or rollout.state == "planned":
            return
        self._see_late(now)
        self._see_failures(now)
        self._begin_back(now)
        if rollout.state == "reverting":
            if all(node.stage in SETTLED for node in rollout.nodes) and not self._to_go_back():
                self._turn(rollout.ends_as, now, rollout.why)
        elif rollout.state == "running":
            self._go_on(now)

    def wants(self) -> list[Want]:
        """What to ask nodes now; asking the same twice does no harm."""
        asks: dict[Stage, Ask] = {
            "preparing": "prepare",
            "canary": "renew",
            "confirming": "confirm",
            "reverting": "revert",
        }
        found = []
        for node in self.rollout.nodes:
            if node.stage == "applying":
                found.append(Want(node.name, "apply" if node.deployment is None else "look"))
            elif ask := asks.get(node.stage):
                found.append(Want(node.name, ask))
        return found

    def _see_late(self, now: float) -> None:
        deadline = self.rollout.strategy.deadline
        for node in self.rollout.nodes:
            if now - node.since <= deadline:
                continue
            if node.stage == "preparing":
                node.failed = True
                self._put(node, "cannot", now, f"it was not prepared within {age(deadline)}")
            elif node.stage == "applying" and not node.back:
                node.failed = node.back = True
                node.why = f"it did not run that within {age(deadline)}"

    def _see_failures(self, now: float) -> None:
        rollout = self.rollout
        strategy, failures = rollout.strategy, self._failures()
        tolerated = strategy.tolerated(len(rollout.nodes)) + rollout.accepted
        if failures <= tolerated or rollout.state not in ("running", "gate", "paused"):
            return
        failed = [node for node in rollout.nodes if node.failed]
        why = f"{failed[-1].name}: {failed[-1].why or failed[-1].stage}"
        if len(failed) > 1:
            why = f"{plural(len(failed), 'node')} failed, {why}"
        if strategy.on_failure == "pause":
            if rollout.state != "paused":
                self._turn("paused", now, why)
            return
        wave = None if strategy.on_failure == "revert-all" else rollout.wave
        self._take_back("failed", now, why, wave=wave)

    def _take_back(
        self,
        ends_as: State,
        now: float,
        why: str = "",
        *,
        by: str = RUNNER,
        done: bool = True,
        wave: int | None = None,
    ) -> None:
        """All unconfirmed nodes go back, and those that are `done`, of one wave or all.

        Those that ran it before the rollout began stay as they are.
        """
        rollout = self.rollout
        rollout.ends_as = ends_as
        self._turn("reverting", now, why, by=by)
        for node in rollout.nodes:
            if node.stage in UNTOUCHED:
                self._put(node, "skipped", now, by=by)
            elif node.stage == "done":
                changed = node.deployment is not None
                node.back = changed and done and wave in (None, node.wave)
            else:
                node.back = node.stage in UNCONFIRMED

    def _begin_back(self, now: float) -> None:
        """Unconfirmed nodes at once; healthy ones no more at a time than may be unavailable."""
        rollout = self.rollout
        free = rollout.strategy.at_once(len(rollout.nodes)) - sum(
            node.stage == "reverting" for node in rollout.nodes
        )
        for node in rollout.nodes:
            if node.back and node.stage in UNCONFIRMED:
                self._put(node, "reverting", now, node.why)
            elif node.back and node.stage == "done" and free > 0:
                free -= 1
                self._put(node, "reverting", now, node.why)

    def _to_go_back(self) -> bool:
        return any(node.back and node.stage == "done" for node in self.rollout.nodes)

    def _go_on(self, now: float) -> None:
        rollout = self.rollout
        wave = rollout.in_wave()
        changing = sum(node.stage in ("applying", "reverting") for node in rollout.nodes)
        free = rollout.strategy.at_once(len(rollout.nodes)) - changing
        for node in wave:
            if node.stage == "planned":
                self._put(node, "preparing", now)
            elif node.stage == "prepared" and free > 0:
                free -= 1
                self._put(node, "applying", now)
        stages = {node.stage for node in wave}
        if stages & {*UNTOUCHED, "applying", "confirming", "reverting"}:
            return
        if "canary" in stages:
            self._soak(wave, now)
            return
        if rollout.wave + 1 < rollout.waves:
            rollout.wave, rollout.soaks_since, rollout.promoted = rollout.wave + 1, None, False
            self._say(now, f"wave {rollout.wave + 1} of {rollout.waves}")
            self._go_on(now)
            return
        left = sum(node.stage != "done" for node in rollout.nodes)
        self._turn("done", now, f"{plural(left, 'node')} outstanding" if left else "")

    def _soak(self, wave: list[RolloutNode], now: float) -> None:
        rollout = self.rollout
        if rollout.soaks_since is None:
            rollout.soaks_since = now
            self._say(now, f"wave {rollout.wave + 1} runs, and is watched")
        soaked = now - rollout.soaks_since >= rollout.strategy.soak
        if not soaked and not rollout.promoted:
            return
        if rollout.strategy.gate == "manual" and not rollout.promoted:
            self._turn("gate", now, f"wave {rollout.wave + 1} is well; somebody is to promote it")
            return
        for node in wave:
            if node.stage == "canary":
                self._put(node, "confirming", now)

    def _failures(self) -> int:
        return sum(node.failed for node in self.rollout.nodes)

    def _put(
        self, node: RolloutNode, stage: Stage, now: float, why: str = "", *, by: str = RUNNER
    ) -> None:
        node.stage, node.since, node.why = stage, now, why
        self._happened(Event(at=now, by=by, what=stage, node=node.name, why=why))

    def _turn(self, state: State, now: float, why: str = "", *, by: str = RUNNER) -> None:
        self.rollout.state, self.rollout.since, self.rollout.why = state, now, why
        self._happened(Event(at=now, by=by, what=state, why=why))

    def _say(self, now: float, what: str) -> None:
        self._happened(Event(at=now, by=RUNNER, what=what))


_MAY: dict[Wish, tuple[State, ...]] = {
    "pause": ("running", "gate"),
    "resume": ("paused",),
    "promote": ("running", "gate"),
    "abort": ("running", "gate", "paused"),
    "abort-all": ("running", "gate", "paused"),
    "undo": ("done", "failed", "aborted"),
    "retry": ("paused", "done", "failed", "aborted"),
}


def why_not(rollout: Rollout, wish: Wish) -> str | None:
    """Why a rollout cannot do that now; None: it can."""
    if rollout.state not in _MAY[wish]:
        return f"it is {rollout.state}"
    if wish == "undo" and not any(node.stage == "done" for node in rollout.nodes):
        return "no node runs it"
    if wish == "retry" and not any(
        node.stage in SETTLED and node.stage not in ("done", "stuck") for node in rollout.nodes
    ):
        return "no node is left that could take it"
    return None
