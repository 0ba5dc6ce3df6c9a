"""What a wish would do to a rollout's nodes, told before it is wished."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.problems import ProblemError
from console.rollouts.lost import asked_on, outstanding
from console.rollouts.record import UNCONFIRMED, UNTOUCHED, Rollout, RolloutNode, Wish
from console.rollouts.wishes import may_retry, may_undo, why_not
from console.text import plural

TAKES_BACK: tuple[Wish, ...] = ("abort", "abort-all", "undo", "undo-at-once")


def check(rollout: Rollout, wish: Wish, *, by: str) -> None:
    """Raises ProblemError `rollout.state` where that cannot be done now, or not by them."""
    if refusal := why_not(rollout, wish, by):
        raise ProblemError(
            "rollout.state",
            f"rollout {rollout.id}: {refusal}",
            params={"rollout": rollout.id, "state": rollout.state},
            hint=f"roost rollout status {rollout.id}",
        )


def going_back(rollout: Rollout, wish: Wish) -> set[str]:
    """Names of the nodes that one of `TAKES_BACK` takes back."""
    may = asked_on if wish == "abort" else may_undo
    return {node.name for node in rollout.nodes if node.stage in UNCONFIRMED or may(node)}


def tried_again(rollout: Rollout) -> set[str]:
    """Names of the nodes that `retry` changes."""
    return {node.name for node in rollout.nodes if may_retry(node)}


def counted(rollout: Rollout, wish: Wish) -> Iterator[str]:
    """What becomes of how many nodes, a line each."""
    begun = sum(node.stage in UNCONFIRMED for node in rollout.nodes)
    untouched = sum(node.stage in UNTOUCHED for node in rollout.nodes)
    newer = 0 if wish == "abort" else sum(_has_newer(node) for node in rollout.nodes)
    done = -newer + sum(
        node.stage == "done" and node.deployment is not None for node in rollout.nodes
    )
    before = sum(node.stage == "done" and node.deployment is None for node in rollout.nodes)
    if begun or not wish.startswith("undo"):
        goes = "goes" if begun == 1 else "go"
        yield f"{plural(begun, 'node')} not confirmed {goes} back at once"
    if untouched:
        yield f"{plural(untouched, 'node')} that nothing was changed on {_is(untouched)} left out"
    if wish == "abort":
        becomes = "stays as it is" if done == 1 else "stay as they are"
    else:
        goes = "goes" if done == 1 else "go"
        most = rollout.strategy.at_once(len(rollout.nodes))
        how = "all at once" if wish == "undo-at-once" else f"at most {most} at a time"
        becomes = f"{goes} back, {how}"
    yield f"{plural(done, 'node')} that {_is(done)} done {becomes}"
    if lost := len(outstanding(rollout.nodes)):
        yield f"{plural(lost, 'lost node')} {_is(lost)} taken back once heard of"
    if newer:
        yield f"{plural(newer, 'node')} that a newer rollout has {_is(newer)} left alone"
    if before:
        yield f"{plural(before, 'node')} that ran it before the rollout {_is(before)} left alone"


def _has_newer(node: RolloutNode) -> bool:
    return node.stage == "done" and node.deployment is not None and node.newer is not None


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
