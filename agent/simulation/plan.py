"""Which nodes a simulated fleet has: names, labels, kinds and faults."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from agent.simulation.catalogue import (
    COMMON_KINDS,
    KIND_A10,
    KIND_NO_GPU,
    KIND_ORIN,
    KIND_RTX_4090,
    KIND_T4,
    KINDS,
    NodeKind,
)

Fault = Literal[
    "driver-mismatch",
    "gpu-lost",
    "xid-storm",
    "disk-full",
    "no-gpu",
    "offline",
    "flapping",
    "slow-link",
]

FAULTY_KINDS: dict[Fault, NodeKind] = {
    "driver-mismatch": KIND_A10,
    "gpu-lost": KIND_RTX_4090,
    "xid-storm": KIND_A10,
    "disk-full": KIND_T4,
    "no-gpu": KIND_NO_GPU,
    "offline": KIND_ORIN,
    "flapping": KIND_ORIN,
    "slow-link": KIND_T4,
}

NODES_PER_SITE = 25
SITES_AT_LEAST = 4
# Each fault is there once in a small fleet, and once per so many nodes in a large one.
NODES_PER_FAULT = 100
# Zones without summer time, so that a plant's day needs no calendar: name and offset in hours.
TIME_ZONES = (
    ("Europe/Istanbul", 3.0),
    ("Asia/Seoul", 9.0),
    ("America/Sao_Paulo", -3.0),
    ("Asia/Kolkata", 5.5),
)


class NodePlan(msgspec.Struct, kw_only=True, frozen=True):
    """One node to simulate. The fault, if it has one, is in its name."""

    name: str
    seed: str
    kind: NodeKind
    labels: dict[str, str]
    fault: Fault | None = None
    timezone: str = "UTC"
    utc_offset_hours: float = 0.0


def plan_fleet(count: int, *, faults: bool = True, seed: int = 0) -> list[NodePlan]:
    """`count` nodes: one of each kind that is well, then one of each fault, then common ones.

    The same arguments give the same fleet; a larger count starts with the same nodes as long as
    the number of sites is the same (up to 100 nodes).
    """
    sites = max(SITES_AT_LEAST, count // NODES_PER_SITE)
    chosen: list[tuple[NodeKind, Fault | None]] = [(kind, None) for kind in KINDS]
    if faults:
        for _ in range(max(1, count // NODES_PER_FAULT)):
            chosen += [(kind, fault) for fault, kind in FAULTY_KINDS.items()]
    for place in range(len(chosen), count):
        chosen.append((COMMON_KINDS[place % len(COMMON_KINDS)], None))
    taken: Counter[str] = Counter()
    plans = []
    for place, (kind, fault) in enumerate(chosen[:count]):
        site = f"plant-{place % sites + 1}"
        name = f"{site}-{fault or kind.name}"
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name}-{taken[name]}"
        zone, offset = TIME_ZONES[place % sites % len(TIME_ZONES)]
        plans.append(
            NodePlan(
                name=name,
                seed=f"{seed}/{name}",
                kind=kind,
                fault=fault,
                labels={"site": site, "gpu": kind.label, "simulated": "true"},
                timezone=zone,
                utc_offset_hours=offset,
            )
        )
    return plans
