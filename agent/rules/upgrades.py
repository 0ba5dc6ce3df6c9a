"""Which driver nodes would need for a set of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.protocol.compatibility import Ability
from agent.protocol.node import NodeFacts
from agent.rules.compatibility import Judge
from agent.rules.known import driver_runs
from agent.rules.tables import DriverBranch, Tables
from agent.rules.variants import worst_reason
from agent.rules.versions import dotted, numbers


class Upgrade(msgspec.Struct, kw_only=True):
    """What one node needs. `after` is how the images fare with that driver."""

    node: str
    driver_now: str | None
    driver: str | None = None  # the least that helps; None: none is needed, or none helps
    branch: int | None = None  # a branch that is looked after, and has it
    branch_end: str | None = None  # "2028-06"
    mended: list[str] = []  # images that it mends
    not_mended: dict[str, str] = {}  # images that no driver mends, and why
    after: dict[str, Ability] = {}


def upgrade_plan(
    images: Mapping[str, Judge],
    nodes: Iterable[NodeFacts],
    tables: Tables,
    *,
    whole: bool = False,
    month: str = "",
) -> list[Upgrade]:
    """For each node the least driver with which all images run that a driver can make run.

    Args:
        whole: The least with which they run without a warning about the driver.
        month: "2026-11": branches whose life has ended by then are not proposed.
    """
    return [_upgrade(images, facts, tables, whole=whole, month=month) for facts in nodes]


def with_driver(facts: NodeFacts, driver: str, tables: Tables) -> NodeFacts:
    """The node as it would be with that driver."""
    cuda = driver_runs(tables, numbers(driver) or ())
    stack = msgspec.structs.replace(
        facts.gpu_stack,
        state="simulated" if facts.agent.simulated else "ok",
        reason=None,
        driver_version=driver,
        module_version=driver,
        library_version=driver,
        cuda_version=dotted(cuda) if cuda else None,
    )
    return msgspec.structs.replace(facts, gpu_stack=stack)


def _upgrade(
    images: Mapping[str, Judge], facts: NodeFacts, tables: Tables, *, whole: bool, month: str
) -> Upgrade:
    plan = Upgrade(node=facts.name, driver_now=facts.gpu_stack.driver_version)
    drivers: dict[str, str] = {}
    for name, judge in images.items():
        verdict = judge(facts)
        driver = judge.driver_for(facts, whole=whole)
        if driver is not None:
            drivers[name] = driver
        elif verdict.ability == "fails":
            plan.not_mended[name] = worst_reason(verdict)
    plan.mended = list(drivers)
    if drivers:
        plan.driver = max(drivers.values(), key=lambda driver: numbers(driver) or ())
        branch = _branch(plan.driver, facts, tables, month)
        if branch is not None:
            plan.branch, plan.branch_end = branch.branch, branch.end_of_life
        if facts.gpus:
            upgraded = with_driver(facts, plan.driver, tables)
            plan.after = {name: judge(upgraded).ability for name, judge in images.items()}
    return plan


def _branch(driver: str, facts: NodeFacts, tables: Tables, month: str) -> DriverBranch | None:
    """The first branch with long support that has the driver; else the first of another kind."""
    least = (numbers(driver) or (0,))[0]
    rows = [tables.gpu_architectures.get(gpu.compute_capability or "") for gpu in facts.gpus]
    last = min((row.last_driver for row in rows if row and row.last_driver), default=None)
    fitting = [
        row
        for row in tables.driver_branches.values()
        if row.branch >= least
        and (last is None or row.branch <= last)
        and not (month and row.end_of_life and row.end_of_life < month)
    ]
    kinds = ("lts", "production", "new_feature")
    return min(fitting, key=lambda row: (kinds.index(row.kind), row.branch), default=None)
