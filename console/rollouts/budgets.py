"""How many nodes may change at a time: in all, and of each group that a label makes."""

from __future__ import annotations

from collections import Counter

from console.rollouts.record import Rollout, RolloutNode, Stage

CHANGING: frozenset[Stage] = frozenset({"applying", "reverting"})
_WELL: frozenset[Stage] = frozenset({"canary", "confirming", "done"})


_Group = tuple[str, str] | None  # a label and its value; None: all nodes


class Budget:
    """What is left of it, at one moment; `take` uses it up.

    Args:
        settling: A node counts as changing until it was well for `min_healthy`, too. What goes back
            does not wait for that.
    """

    def __init__(self, rollout: Rollout, now: float, *, settling: bool) -> None:
        strategy = rollout.strategy
        self._limits: dict[_Group, int] = {None: strategy.at_once(len(rollout.nodes))}
        self._labels = tuple(per.label for per in strategy.max_unavailable_per)
        self._used: Counter[_Group] = Counter()
        sizes = Counter(group for node in rollout.nodes for group in self._groups(node))
        amounts = {per.label: per.amount for per in strategy.max_unavailable_per}
        for group, size in sizes.items():
            if group is not None:
                self._limits[group] = max(1, amounts[group[0]].of(size, least=1))
        for node in rollout.nodes:
            young = (
                settling
                and node.stage in _WELL
                and node.well_since is not None
                and now - node.well_since < strategy.min_healthy
            )
            if young or node.stage in CHANGING:
                self._use(node)

    def take(self, node: RolloutNode) -> bool:
        """Let it change, if it may now."""
        if any(self._used[group] >= self._limits[group] for group in self._groups(node)):
            return False
        self._use(node)
        return True

    def _use(self, node: RolloutNode) -> None:
        self._used.update(self._groups(node))

    def _groups(self, node: RolloutNode) -> list[_Group]:
        return [None, *((label, node.groups.get(label, "")) for label in self._labels)]
