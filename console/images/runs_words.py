"""Whether images can run, and which driver would mend it, in words."""

from __future__ import annotations

from collections.abc import Mapping

from agent.protocol.compatibility import Ability
from agent.rules.upgrades import Upgrade

WORDS: Mapping[Ability, str] = {
    "runs": "runs",
    "warns": "warns",
    "unknown": "unknown",
    "fails": "cannot",
}


def branch_words(plan: Upgrade) -> str:
    """The branch that has the driver, and how long it is looked after; "" where none is named."""
    if plan.branch is None:
        return ""
    end = f", until {plan.branch_end}" if plan.branch_end else ""
    return f"R{plan.branch}{end}"


def then_words(plan: Upgrade) -> str:
    """What becomes of the images with that driver, and what no driver mends."""
    after = [f"{image} {WORDS[ability]}" for image, ability in plan.after.items()]
    never = [f"{image}: {why}" for image, why in plan.not_mended.items()]
    return "; ".join([*after, *never])
