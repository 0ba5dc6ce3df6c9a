"""The plan of a deployment that makes a workload's container once more, just as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.protocol.deployments import DeployPlan, PlannedWorkload
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.drift import meant
from agent.workloads.planning import Planned, Planner
from agent.workloads.records import Part, WorkloadRecord, WorkloadStore


class Recreator:
    """Plans re-creations on one node: same recipe, same GPUs, same way in."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        planner: Planner,
        facts: Callable[[], NodeFacts],
    ) -> None:
        self._runtime, self._store = runtime, store
        self._planner, self._facts = planner, facts

    async def plan(self, record: WorkloadRecord, planned: PlannedWorkload | None = None) -> Planned:
        """It stops first: the one that runs is of no use, and holds its ports.

        Raises:
            ProblemError: `workload.not_found`, `container.not_found`, `gpu.lost`,
                `pin.auto_remove`, `runtime.*`.
        """
        part = self._store.held_to(record)
        if part is None or record.stable is None:
            raise ProblemError(
                "workload.not_found",
                f"how {record.name} was made is not known",
                params={"workload": record.name},
                hint="Apply its file again.",
            )
        facts = self._facts()
        # A container that came back after an undo may have been given an index.
        part.gpus = sorted(meant(record.gpus, record.gpu_way, facts.gpus))
        _check_there(record.name, part.gpus, facts)
        details = await self._runtime.details(record.stable)
        answer = await self._runtime.inspect(record.stable)
        planned = planned or PlannedWorkload(name=record.name, action="replace")
        planned.gpu_way = part.gpu_way
        part.old = await self._planner.found(details.container, answer, planned)
        part.kept_before = self._planner.kept(record.name)
        part.new = None
        self._planner.order(part, planned, "stop-then-start")
        plan = DeployPlan(release=record.release, workloads=[planned])
        return Planned(answer=plan, parts=[part])


async def with_followers(planned: Planned, store: WorkloadStore, recreator: Recreator) -> Planned:
    """The plan, and who restarts with those whose containers it changes.

    A container in the network of another one loses it with that one's end, and a dependency may
    say `restart: true`.

    Raises:
        ProblemError: `runtime.*`; what else is wrong is in the plan.
    """
    parts = {part.name: part for part in planned.parts}
    changing = [part.name for part in planned.parts if not part.stays and part.old is not None]
    for record in store.followers(changing):
        part = parts.get(record.name)
        if part is not None and not part.stays:
            continue
        owners = ", ".join(each for each in record.restarts_with if each in {*changing, *parts})
        again = PlannedWorkload(name=record.name, action="replace")
        try:
            [made] = (await recreator.plan(record, again)).parts
        except ProblemError as problem:
            if problem.code.startswith("runtime."):
                raise
            again.problems.append(problem.problem())
        else:
            if made.old is not None and not made.old.running:
                continue  # somebody stopped it
            for each in planned.answer.workloads:  # it is restarted, as they want it
                each.warnings = [
                    told
                    for told in each.warnings
                    if not told.startswith(f"{record.name} shares a namespace with it")
                ]
            if part is not None:  # what the agent reads of it is written down with that
                made = _noted(made, part)
                planned.parts.remove(part)
            planned.parts.append(made)
        again.changes.append(f"it restarts with {owners}")
        shown = planned.answer.workloads
        shown[:] = [each for each in shown if each.name != record.name] + [again]
    return planned


def _noted(made: Part, part: Part) -> Part:
    names = ("gpu", "probes", "soak", "start_deadline", "restarts_with", "awaited", "applied")
    return msgspec.structs.replace(made, **{name: getattr(part, name) for name in names})


def _check_there(workload: str, gpus: Sequence[str], facts: NodeFacts) -> None:
    """A GPU that the node itself lost comes back to no container."""
    there = {gpu.uuid for gpu in facts.gpus}
    there |= {each.uuid for gpu in facts.gpus for each in gpu.mig_instances}
    gone = [uuid for uuid in gpus if uuid not in there]
    if gone or facts.gpu_stack.state not in ("ok", "simulated"):
        raise ProblemError(
            "gpu.lost",
            f"{workload}: the node itself does not have {', '.join(gone) or 'its GPUs'}",
            params={"workload": workload, "gpus": gone},
            hint="`roost doctor NODE` says why.",
        )
