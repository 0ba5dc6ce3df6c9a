"""Which of several images of one workload a node gets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.protocol.compatibility import ABILITIES, Verdict
from agent.protocol.node import NodeFacts
from agent.rules.compatibility import Judge

_SAYS = {
    "runs": "can run",
    "warns": "can run with a warning",
    "unknown": "may run",
    "fails": "cannot run",
}


class Choice(msgspec.Struct, kw_only=True):
    """The best variant for a node; None: not one of them runs. `why` is one sentence."""

    name: str | None
    why: str
    verdicts: dict[str, Verdict]  # of every variant


def best_variant(variants: Mapping[str, Judge], facts: NodeFacts) -> Choice:
    """The one that runs best; of those alike the newest CUDA, then the first named.

    One that may run is taken only where none is known to: `unknown` comes after `warns`.
    """
    verdicts = {name: judge(facts) for name, judge in variants.items()}
    order = sorted(
        variants,
        key=lambda name: (
            ABILITIES.index(verdicts[name].ability),
            *(-part for part in (*variants[name].cuda, 0, 0)[:2]),
        ),
    )
    if not order:
        return Choice(name=None, why="There is no image to choose from.", verdicts={})
    first = order[0]
    if verdicts[first].ability == "fails":
        why = f"None of them can run here: {_listed(order, verdicts)}."
        return Choice(name=None, why=why, verdicts=verdicts)
    why = f"{first} {_SAYS[verdicts[first].ability]}{_reason(verdicts[first])}"
    if len(order) > 1:
        why += f"; {_listed(order[1:], verdicts)}"
    return Choice(name=first, why=f"{why}.", verdicts=verdicts)


def _listed(names: list[str], verdicts: Mapping[str, Verdict]) -> str:
    return "; ".join(
        f"{name} {_SAYS[verdicts[name].ability]}{_reason(verdicts[name])}" for name in names
    )


def _reason(verdict: Verdict) -> str:
    """The worst thing that there is to say, of the node or its best GPU."""
    found = worst_reason(verdict)
    return f" ({found.rstrip('.')})" if found else ""


def worst_reason(verdict: Verdict) -> str:
    """What decided the verdict, in a sentence; empty where nothing stands against it."""
    gpu = min(verdict.gpus, key=lambda each: ABILITIES.index(each.ability), default=None)
    reasons = [*verdict.reasons, *(gpu.reasons if gpu else [])]
    deciding = [each.what for each in reasons if each.ability == verdict.ability != "runs"]
    return deciding[0] if deciding else ""
