"""Where the engines of a release are built, and how long that took before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest

from agent.protocol.deployments import ApplyRequest, DeployPlan, PlannedWorkload
from agent.protocol.engines import EngineRecipe
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse, GpuRequest, Workload
from console.rollouts.needed_engines import NO_ENGINE, in_their_images, plan_with_engines

if TYPE_CHECKING:
    from console.link.client import NodeClient


def using(image: str | None, *, select: str = "0") -> ApplyRequest:
    recipe = EngineRecipe(model="web", onnx="/m.onnx", executor="container", image=image)
    workload = Workload(
        name="web",
        image="app:1",
        variants=["app:1-cu118"],
        gpu=GpuRequest(select=select),
        engine=EngineUse(model="web", recipe=recipe),
    )
    return ApplyRequest(release="app", workloads=[workload])


def plan(name: str, image: str) -> DeployPlan:
    return DeployPlan(
        release="app", workloads=[PlannedWorkload(name=name, action="create", image=image)]
    )


@pytest.mark.parametrize(
    ("own", "name", "chosen", "built_in"),
    [
        ("app:1", "web", "app:1-cu118", "app:1-cu118"),
        ("app:1", "web", "app:1", "app:1"),
        ("trt:10", "web", "app:1-cu118", "trt:10"),  # said so, and not by default
        (None, "web", "app:1-cu118", None),
        ("app:1", "web", "", "app:1"),  # nobody knows
        ("app:1", "another", "app:1-cu118", "app:1"),
    ],
)
def test_in_the_variant_that_the_node_gets(
    own: str | None, name: str, chosen: str, built_in: str | None
) -> None:
    request = using(own)
    (workload,) = in_their_images(request, plan(name, chosen)).workloads
    assert workload.engine is not None
    assert workload.engine.recipe is not None
    assert workload.engine.recipe.image == built_in
    assert workload.variants == ["app:1-cu118"]
    assert request == using(own)


def test_of_a_workload_on_each_gpu() -> None:
    request = using("app:1", select="spread")
    (workload,) = in_their_images(request, plan("web-0", "app:1-cu118")).workloads
    assert workload.engine is not None
    assert workload.engine.recipe is not None
    assert workload.engine.recipe.image == "app:1-cu118"


class WithoutEngines:
    """A node that has no engine yet, and refuses who cannot do without."""

    def __init__(self) -> None:
        self.workloads = self

    async def plan_apply(self, request: ApplyRequest, coming: Sequence[NodeImage]) -> DeployPlan:
        assert coming == []
        found = plan("web", "app:1")
        for workload in request.workloads:
            if workload.engine is not None and workload.engine.required:
                problem = ProblemError(NO_ENGINE, "there is no engine").problem()
                found.workloads[0].problems.append(problem)
        return found


@pytest.mark.parametrize(
    ("models", "refused"), [(["detector"], []), (["other"], [NO_ENGINE]), ([], [NO_ENGINE])]
)
async def test_a_workload_that_only_names_a_model_that_is_built_before(
    models: list[str], refused: list[str]
) -> None:
    workload = Workload(name="web", image="app:1", engine=EngineUse(model="detector"))
    request = ApplyRequest(release="app", workloads=[workload])
    client = cast("NodeClient", WithoutEngines())
    found, needed = await plan_with_engines(client, request, [], models=models)
    assert [problem.code for problem in found.problems] == refused
    assert needed == []
    assert workload.engine == EngineUse(model="detector")
