"""How nodes that run a release go through its weights together, watched at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from console.rollouts.record import Progress, Rollout, RolloutNode
from console.rollouts.strategy import Strategy

# begun: all have this step's weight from now on. next: they go to the next weight. undecided: the
# soak is over, they could not be judged, and the time for that is over, too. through: all is well.
Turn = Literal["waits", "begun", "next", "undecided", "through"]


def weights_of(nodes: Sequence[RolloutNode], strategy: Strategy) -> tuple[int, ...]:
    """The weights that they go through; one step where no node splits its requests."""
    return strategy.weights if any(node.weight is not None for node in nodes) else (100,)


def progress_of(rollout: Rollout, node: RolloutNode) -> Progress:
    """The wave's that is under way, or the node's own."""
    return node.alone or rollout.progress


def weight_wanted(rollout: Rollout, node: RolloutNode) -> int:
    """How many percent of requests its candidate is to get now; nodes that split none ignore it."""
    weights = rollout.strategy.weights
    if node.stage != "canary":
        return 100
    return weights[min(progress_of(rollout, node).step, len(weights) - 1)]


def advance(
    nodes: Sequence[RolloutNode], progress: Progress, strategy: Strategy, now: float
) -> Turn:
    """What becomes of nodes that all run the release. Changes `progress` alone."""
    weights = weights_of(nodes, strategy)
    step = min(progress.step, len(weights) - 1)
    progress.since = progress.since or now
    if any(node.weight not in (None, weights[step]) for node in nodes):
        return "waits"
    if progress.soaks_since is None:
        progress.soaks_since = now
        return "begun"
    if not progress.promoted and now - progress.soaks_since < strategy.soak:
        return "waits"
    if not progress.promoted and strategy.judges:
        undecided = [node for node in nodes if node.judged != "pass"]
        if undecided:
            return _undecided(undecided, progress, strategy, now)
    if step + 1 < len(weights):
        progress.step, progress.since = step + 1, now
        progress.soaks_since, progress.promoted = None, False
        progress.undecided_since = progress.accepted_at = None
        for node in nodes:
            node.judged, node.judged_why = None, ""
        return "next"
    return "through"


def _undecided(
    nodes: Sequence[RolloutNode], progress: Progress, strategy: Strategy, now: float
) -> Turn:
    if progress.undecided_since is None:
        progress.undecided_since = now
    since = max(progress.undecided_since, progress.accepted_at or 0.0)
    hopeless = any(node.judged in ("error", "inconclusive") for node in nodes)
    late = now - since >= strategy.deadline.judge
    return "undecided" if late or (hopeless and progress.accepted_at is None) else "waits"


def misses_weight(rollout: Rollout, node: RolloutNode, now: float) -> bool:
    """Whether it had long enough to get to the weight that it is to have."""
    since = progress_of(rollout, node).since
    return (
        node.stage == "canary"
        and node.weight not in (None, weight_wanted(rollout, node))
        and since > 0
        and now - max(since, node.since) > rollout.strategy.deadline.apply
    )
