"""What a rollout does next: decided from its record and from what nodes said, and nothing else.

`Steering` changes the record and says what happened; who calls it writes that down before it acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agent.protocol.arms import Arms
from agent.protocol.deployments import DeploymentState
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.boots import see_boot
from console.rollouts.budgets import Budget
from console.rollouts.catching_up import catch_up, may_return, returned, stand, supersede
from console.rollouts.going_back import begin_back, end_back, take_back
from console.rollouts.judged import look, undecided_words, untried_words
from console.rollouts.jumps import shift
from console.rollouts.late import see_gap, see_late, see_silent, silent
from console.rollouts.ledger import Ledger
from console.rollouts.lost import ask_of, asked_on, hear_again
from console.rollouts.record import (
    ENDED,
    SETTLED,
    UNTOUCHED,
    Event,
    Judged,
    Progress,
    Rollout,
    RolloutNode,
    Stage,
    Wish,
)
from console.rollouts.watching import advance, weight_wanted, weights_of
from console.rollouts.windows import Windows
from console.rollouts.wishes import failures, fulfil, why_not
from console.text import age, plural

_ASKS: Mapping[Stage, Ask] = {
    "preparing": "prepare",
    "confirming": "confirm",
    "reverting": "revert",
}


class Steering:
    """Steers one rollout. `now` is Unix time; it may stand still, and may jump."""

    def __init__(
        self,
        rollout: Rollout,
        happened: Callable[[Event], None],
        judged: Mapping[str, Judged] | None = None,
    ) -> None:
        """`judged`: what came of the last looks at nodes, by name, where another runner looked."""
        self.rollout = rollout
        self.judged = dict(judged or {})
        self.judged_anew: set[str] = set()  # names; whoever keeps them forgets them here
        self._asked_since: float | None = None
        self._ledger = Ledger(rollout, happened)
        self._windows = Windows(rollout.strategy.window)
        self._nodes = {node.name: node for node in rollout.nodes}

    # what nodes said

    def hear(self, seen: Seen, now: float) -> None:
        """A node's answer to what was wanted of it."""
        node = self._nodes[seen.node]
        if node.stage in SETTLED:
            self._settled(node, seen, now)
            return
        node.tried = node.tried or seen.tried
        if seen.what == "unreached":
            see_silent(self._ledger, node, seen.why, now, self._asked_since or now)
            return
        node.heard_at = now
        if seen.what in ("preparing", "prepared"):
            self._preparing(node, seen, now)
        elif seen.what == "arms" and seen.arms is not None:
            self._judge(node, seen.arms, now)
        elif seen.what == "not_yet":
            node.why = seen.why  # until its deadline
        elif seen.what == "begun":
            node.deployment, node.why = seen.deployment, ""
        elif seen.state is not None:
            self._state(node, seen.state, seen, now)
        elif seen.what == "reached":
            return
        elif node.stage == "reverting":
            self._nothing_to_take_back(node, seen, now)
        elif seen.what == "unchanged":
            self._ledger.put(node, "done", now, "it runs that already")
        elif seen.what == "refused":
            node.failed = True
            self._ledger.put(node, "cannot", now, seen.why)

    def _settled(self, node: RolloutNode, seen: Seen, now: float) -> None:
        if node.stage == "offline" and seen.what == "reached" and may_return(self.rollout, now):
            node.heard_at = now
            returned(self._ledger, node, now)
        elif asked_on(node):
            hear_again(self._ledger, node, seen, now)

    def _preparing(self, node: RolloutNode, seen: Seen, now: float) -> None:
        if node.stage != "preparing":
            return
        if seen.what == "prepared":
            self._ledger.put(node, "prepared", now, seen.why)
        else:
            node.why = seen.why  # how far it is: no event of its own

    def _state(self, node: RolloutNode, state: DeploymentState, seen: Seen, now: float) -> None:
        why, node.weight = seen.why, seen.weight
        see_boot(self._ledger, node, seen.boot, now)
        if state == "stuck":
            node.failed = True
            self._ledger.put(node, "stuck", now, why)
        elif state == "reverted":
            node.failed = node.failed or not node.back
            self._ledger.put(node, "reverted", now, why)
        elif node.stage == "reverting":
            return
        elif state == "done":
            node.well_since = node.well_since or now
            self._ledger.put(node, "done", now)
        elif state == "canary" and node.stage == "applying":
            node.well_since = now
            self._ledger.put(node, "canary", now)

    def _nothing_to_take_back(self, node: RolloutNode, seen: Seen, now: float) -> None:
        if seen.what == "left":
            self._ledger.put(node, "skipped", now, seen.why)
        else:
            self._ledger.put(node, "reverted", now, "nothing had begun there")

    def _judge(self, node: RolloutNode, arms: Arms, now: float) -> None:
        if node.stage != "canary":
            return
        before = node.judged
        judged = look(self.rollout.strategy.analysis, node, arms, self.judged.get(node.name), now)
        self.judged[node.name] = judged
        self.judged_anew.add(node.name)
        if node.judged == "fail":
            node.failed = node.back = True
            node.why = node.judged_why
        if node.judged != before and node.judged != "wait":
            self._ledger.say(now, f"judged: {node.judged}", node=node.name, why=node.judged_why)

    def supersede(self, newer: Mapping[str, str], now: float) -> None:
        """Ids of newer rollouts by node: what this one has not begun there is theirs."""
        supersede(self._ledger, newer, now)

    def see_newer(self, newer: Mapping[str, str]) -> None:
        """Ids of rollouts that began later, by node that has theirs: wishes leave those alone."""
        for node in self.rollout.nodes:
            node.newer = newer.get(node.name)

    # what people want

    def wish(self, wish: Wish, by: str, now: float) -> str | None:
        """Do it; None. Or why it cannot be done now."""
        if refusal := why_not(self.rollout, wish, by):
            return refusal
        fulfil(self._ledger, wish, by, now)
        return None

    # what follows

    def jumped(self, by: float, now: float) -> None:
        """The clock was set by so many seconds, or the machine slept for as long.

        Nothing has taken longer for it, and what nobody heard meanwhile is asked first.
        """
        shift(self.rollout, by)
        self._asked_since = now
        if self.rollout.wants_runner:
            how = "ahead" if by > 0 else "back"
            self._ledger.say(now, f"the clock went {how} by {age(abs(by))}; all waits go on")

    def step(self, now: float) -> None:
        """Go on as far as that is possible now."""
        rollout = self.rollout
        if rollout.state == "planned" or not rollout.wants_runner:
            return
        if self._asked_since is None:
            self._asked_since = now
            see_gap(self._ledger, now)
            self._see_told()
        see_late(self._ledger, now, self._asked_since)
        self._see_failures(now)
        begin_back(self._ledger, now)
        if rollout.state in ENDED:
            catch_up(self._ledger, self._begin, now)
        elif rollout.state == "reverting":
            end_back(self._ledger, now)
        elif rollout.state == "running":
            self._go_on(now)

    def wants(self) -> list[Want]:
        """What to ask nodes now; asking the same twice does no harm."""
        rollout = self.rollout
        found = []
        for node in rollout.nodes:
            if node.stage == "applying":
                found.append(Want(node.name, "apply" if node.deployment is None else "look"))
            elif node.stage == "canary":
                found.append(Want(node.name, "renew", weight_wanted(rollout, node)))
                if rollout.strategy.judges:
                    found.append(Want(node.name, "arms"))
            elif ask := _ASKS.get(node.stage) or ask_of(rollout, node):
                found.append(Want(node.name, ask))
            elif node.stage == "offline" and rollout.stands_until is not None:
                found.append(Want(node.name, "reach"))
        return found

    def _see_told(self) -> None:
        """Whom a runner before may have told to change, and did not live to write it down."""
        for node in self.rollout.nodes:
            node.tried = node.tried or node.stage == "applying"

    def _see_failures(self, now: float) -> None:
        rollout = self.rollout
        strategy = rollout.strategy
        tolerated = strategy.tolerated(len(rollout.nodes)) + rollout.accepted
        if failures(rollout) <= tolerated or rollout.state not in ("running", "gate", "paused"):
            return
        failed = [node for node in rollout.nodes if node.failed]
        why = f"{failed[-1].name}: {failed[-1].why or failed[-1].stage}"
        if len(failed) > 1:
            why = f"{plural(len(failed), 'node')} failed, {why}"
        if strategy.on_failure == "pause":
            if rollout.state != "paused":
                self._ledger.turn("paused", now, why)
            return
        wave = None if strategy.on_failure == "revert-all" else rollout.wave
        take_back(self._ledger, "failed", now, why, wave=wave)

    def _begin(self, nodes: Sequence[RolloutNode], now: float) -> None:
        """Prepare them, and let them change: in their windows, a few at a time."""
        budget: Budget | None = None
        for node in nodes:
            if node.stage == "planned":
                self._ledger.put(node, "preparing", now)
            elif node.stage in ("prepared", "held"):
                why = self._windows.why_closed(node.zone, now)
                if why is not None and (node.stage, node.why) != ("held", why):
                    self._ledger.put(node, "held", now, why)
                if why is not None:
                    continue
                budget = budget or Budget(self.rollout, now, settling=True)
                if budget.take(node):
                    self._ledger.put(node, "applying", now)
                elif node.stage == "held":
                    self._ledger.put(node, "prepared", now, "its window is open")

    def _go_on(self, now: float) -> None:
        rollout = self.rollout
        wave = rollout.in_wave()
        self._begin(wave, now)
        stages = {node.stage for node in wave}
        if stages & {*UNTOUCHED, "applying", "confirming", "reverting"}:
            return
        if "canary" in stages:
            self._watch([node for node in wave if node.stage == "canary"], now)
            return
        if rollout.wave + 1 < rollout.waves:
            if "done" not in stages and rollout.progress.untried_since is None:
                rollout.progress.untried_since = now
                self._ledger.turn("paused", now, untried_words(rollout, wave))
                return
            rollout.wave, rollout.progress = rollout.wave + 1, Progress()
            self._ledger.say(now, f"wave {rollout.wave + 1} of {rollout.waves}")
            self._go_on(now)
            return
        left = sum(node.stage != "done" for node in rollout.nodes)
        self._ledger.turn("done", now, f"{plural(left, 'node')} outstanding" if left else "")
        stand(self._ledger, now)

    def _watch(self, nodes: Sequence[RolloutNode], now: float) -> None:
        rollout, strategy = self.rollout, self.rollout.strategy
        progress, wave = rollout.progress, f"wave {rollout.wave + 1}"
        if rollout.kits and any(silent(node, now) for node in nodes):
            return
        turn = advance(nodes, progress, strategy, now)
        weights = weights_of(nodes, strategy)
        if turn == "begun":
            at = f" at {weights[progress.step]} %" if len(weights) > 1 else ""
            self._ledger.say(now, f"{wave} runs{at}, and is watched")
        elif turn == "next":
            self._ledger.say(now, f"{wave} goes to {weights[progress.step]} %")
        elif turn == "undecided":
            self._ledger.turn("paused", now, undecided_words(nodes))
        elif turn == "through":
            if strategy.gate != "auto" and not progress.promoted:
                who = "somebody else" if strategy.gate == "approval" else "somebody"
                self._ledger.turn("gate", now, f"{wave} is well; {who} is to promote it")
                return
            for node in nodes:
                self._ledger.put(node, "confirming", now)
