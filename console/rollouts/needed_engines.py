"""The engines that a release's workloads get on a node: those that are there, those to build."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from agent.protocol.deployments import ApplyRequest, DeployPlan, PlannedWorkload
from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.images import NodeImage
from agent.protocol.workloads import EngineUse, Workload
from agent.rules.engine_keys import recipe_digest
from console.engines.build_times import earlier_build
from console.link.client import NodeClient

NO_ENGINE = "workload.no_engine"


class NeededEngine(msgspec.Struct, kw_only=True):
    """The engine that a workload gets; `build` None: it is there."""

    workload: str
    model: str
    words: str = ""  # of one that is there
    build: BuildRequest | None = None
    seconds: float | None = None  # that an earlier build of it took; None: there was none
    like: str | None = None  # on which node


async def plan_with_engines(
    client: NodeClient,
    request: ApplyRequest,
    coming: Sequence[NodeImage],
    *,
    models: Collection[str] = (),
) -> tuple[DeployPlan, list[NeededEngine]]:
    """What will happen once the engines are there that the release says how to build.

    Args:
        models: further models whose engines are built before, whoever says how.

    Raises:
        ProblemError: `link.*`, `ssh.*` and the node's own.
    """
    plan = await client.workloads.plan_apply(request, coming)
    fitting = in_their_images(request, plan)
    if fitting != request:
        request, plan = fitting, await client.workloads.plan_apply(fitting, coming)
    built = [
        (each, each.engine)
        for each in request.workloads
        if each.engine is not None and each.engine.recipe is not None
    ]
    if any(problem.code == NO_ENGINE for problem in plan.problems) and (built or models):
        plan = await client.workloads.plan_apply(_without(request, models), coming)
    return plan, [_needed(workload, use, plan) for workload, use in built]


def in_their_images(request: ApplyRequest, plan: DeployPlan) -> ApplyRequest:
    """The same; an engine that is built in its workload's own image is built in the variant of it
    that the node gets."""
    workloads = []
    for workload in request.workloads:
        chosen = next((each.image for each in _planned(workload, plan) if each.image), "")
        workloads.append(engine_in(workload, chosen) if chosen else workload)
    return msgspec.structs.replace(request, workloads=workloads)


def engine_in(workload: Workload, image: str) -> Workload:
    """The workload as if its engine were to be built in `image`, if it is in the workload's own."""
    use = workload.engine
    if use is None or use.recipe is None or use.recipe.image != workload.image:
        return workload
    recipe = msgspec.structs.replace(use.recipe, image=image)
    engine = msgspec.structs.replace(use, recipe=recipe)
    return msgspec.structs.replace(workload, engine=engine)


def with_times(
    builds: Mapping[str, Sequence[NeededEngine]],
    known: Mapping[str, Sequence[Engine]],
    gpus: Mapping[str, Sequence[str]],
) -> None:
    """Say of each engine that is to be built how long that took before, on this node or another.

    All are by node; `gpus` are the names of what is in it.
    """
    for name, engines in builds.items():
        for engine in engines:
            alike = None if engine.build is None else recipe_digest(engine.build.recipe)
            before = earlier_build(known, name, engine.model, alike, gpus.get(name, ()))
            if before is not None:
                engine.seconds, engine.like = before.seconds, before.node


def _needed(workload: Workload, use: EngineUse, plan: DeployPlan) -> NeededEngine:
    planned = _planned(workload, plan)
    words = next((each.engine for each in planned if each.engine), "")
    needed = NeededEngine(workload=workload.name, model=use.model, words=words)
    if use.recipe is not None and not words:
        gpus = [gpu.uuid for each in planned for gpu in each.gpus if gpu.uuid.startswith("GPU-")]
        needed.build = BuildRequest(recipe=use.recipe, gpu=gpus[0] if gpus else None)
    return needed


def _planned(workload: Workload, plan: DeployPlan) -> list[PlannedWorkload]:
    """Its part of the plan; of one that is on each GPU: each of them."""
    spread = workload.gpu is not None and workload.gpu.select == "spread"
    return [
        each
        for each in plan.workloads
        if each.name == workload.name or (spread and each.name.startswith(f"{workload.name}-"))
    ]


def _without(request: ApplyRequest, models: Collection[str]) -> ApplyRequest:
    """The same; what is to be built does not have to be there."""
    workloads = [
        msgspec.structs.replace(each, engine=msgspec.structs.replace(each.engine, required=False))
        if each.engine is not None
        and (each.engine.recipe is not None or each.engine.model in models)
        else each
        for each in request.workloads
    ]
    return msgspec.structs.replace(request, workloads=workloads)
