"""Rollouts in words and rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from agent.protocol.upgrades import WITHIN_SECONDS
from console.rollouts.judging.words import analysis_lines
from console.rollouts.lost import ask_of, asked_on, outstanding
from console.rollouts.record import ENDED, Event, Rollout, RolloutNode
from console.rollouts.strategy import Gate, OnFailure, Strategy
from console.rollouts.windows import Window
from console.text import age, plural

_GATES: Mapping[Gate, str] = {
    "auto": "then it goes on by itself",
    "manual": "then somebody promotes it",
    "approval": "then somebody promotes it who neither planned nor started it",
}
_ENDS: Mapping[OnFailure, str] = {
    "revert-wave": "the wave that it is in goes back",
    "revert-all": "all waves go back",
    "pause": "it pauses, for somebody to look",
}


def strategy_lines(strategy: Strategy, nodes: int) -> Iterator[str]:
    """How it goes out, defaults included."""
    waves = ", ".join(map(str, strategy.waves))
    yield f"waves: {waves}{', ' if waves else ''}the rest"
    groups = "".join(f", {group}" for group in strategy.max_unavailable_per)
    yield (
        f"at most {plural(strategy.at_once(nodes), 'node')} at a time{groups};"
        f" a node counts until it has been well for {age(strategy.min_healthy)}"
    )
    if strategy.window is not None:
        yield f"nodes begin to change in their window: {window_words(strategy.window)}"
    soak = age(strategy.soak)
    yield f"each wave is watched for {soak}, {_GATES[strategy.gate]}"
    if len(strategy.weights) > 1:
        steps = ", ".join(map(str, strategy.weights))
        yield f"where a node splits requests, it gets {steps} % of them, watched for {soak} at each"
    yield from analysis_lines(strategy.analysis)
    tolerated = strategy.tolerated(nodes)
    so_many = f"more than {plural(tolerated, 'node')}" if tolerated else "a node"
    yield f"if {so_many} fails, {_ENDS[strategy.on_failure]}"
    within = strategy.deadline
    yield (
        f"a node has {age(within.prepare)} to be prepared, {age(within.apply)} to run the release,"
        f" {age(within.judge)} beyond its soak to be judged"
    )
    yield f"a node that is not heard of goes back by itself after {age(strategy.confirm_within)}"
    if strategy.catch_up > 0:
        yield f"a node that is offline may still get it for {age(strategy.catch_up)} after the end"
    for target in strategy.notify:
        signed = ", signed" if target.signed else ""
        yield f"told to {target}{signed}: {', '.join(target.on)}"


def how_lines(rollout: Rollout) -> Iterator[str]:
    """How this one goes out: a release, or another version of the agent."""
    strategy, nodes = rollout.strategy, len(rollout.nodes)
    if not rollout.kits:
        yield from strategy_lines(strategy, nodes)
        return
    yield f"waves: {', '.join(map(str, strategy.waves))}, the rest"
    yield f"at most {plural(strategy.at_once(nodes), 'node')} at a time"
    yield (
        "each new agent is tried first: it goes back if it does not answer within"
        f" {age(WITHIN_SECONDS)}, or crashes three times"
    )
    yield f"each wave is watched for {age(strategy.soak)}, {_GATES[strategy.gate]}"
    yield f"if a node fails, {_ENDS[strategy.on_failure]}"


def left_out_lines(rollout: Rollout) -> Iterator[str]:
    """Waves of the release that a small fleet is used up before."""
    wanted = rollout.strategy.waves[rollout.waves :]
    if wanted:
        first, last = rollout.waves + 1, len(rollout.strategy.waves)
        which = f"wave {first} ({wanted[0]})" if first == last else f"waves {first} to {last}"
        verb = "gets" if first == last else "get"
        yield f"{which} of the release {verb} no node: those before have all of them"


def window_words(window: Window) -> str:
    """`0 22 * * mon-fri, open for 6h, Europe/Berlin`."""
    where = window.zone or "each node by the clock of its own zone"
    return f"{window.cron}, open for {age(window.duration)}, {where}"


def state_words(rollout: Rollout) -> str:
    """`running, wave 2 of 3`."""
    if rollout.state in ("running", "gate", "paused"):
        return f"{rollout.state}, wave {rollout.wave + 1} of {rollout.waves}"
    return rollout.state


def count_words(rollout: Rollout) -> str:
    """`3 done, 1 canary, 8 planned`."""
    return ", ".join(f"{count} {stage}" for stage, count in rollout.counts().items())


def stage_words(node: RolloutNode) -> str:
    """`canary 10 %` where the node splits requests."""
    if node.weight is not None and node.stage in ("canary", "confirming"):
        return f"{node.stage} {node.weight} %"
    return node.stage


def lost_lines(rollout: Rollout, node: RolloutNode) -> Iterator[str]:
    """Of a lost node: what is done about it, and what a person can do. Of others nothing."""
    if node.stage != "lost":
        return
    if not asked_on(node):
        yield "a newer rollout has this node, and asks it"
        return
    asked = ask_of(rollout, node)
    if asked is None:
        yield "it is asked no more: undo asks it once more"
    else:
        to = "go back" if asked == "revert" else "confirm"
        yield f"it is asked on to {to}, until it answers"
    yield "see to its power and its link"


def unsteered_lines(rollout: Rollout, *, steered: bool) -> Iterator[str]:
    """What to do where no runner is at work, and one should be."""
    if steered or not rollout.wants_runner:
        return
    if rollout.state in ENDED:
        lost = outstanding(rollout.nodes)
        if lost:
            yield "nobody steers it: it is not found out what lost nodes run"
        if not lost or "offline" in rollout.counts():
            yield "nobody steers it: nodes that return do not get it"
    else:
        yield "nobody steers it, and its nodes go back by themselves"
    yield f"hint: roost rollout runner {rollout.id}"


def event_line(event: Event) -> str:
    """`16:40:02 edge-1 canary`, with who and why where that is not the runner's own course."""
    return f"{time.strftime('%H:%M:%S', time.localtime(event.at))} {event_words(event)}"


def event_words(event: Event) -> str:
    """The same without the time."""
    who = "" if event.by == "the runner" else f" by {event.by}"
    why = f": {event.why}" if event.why else ""
    node = f"{event.node} " if event.node else ""
    return f"{node}{event.what}{who}{why}"
