"""Which builds are failures to whoever asked for them."""

from __future__ import annotations

import pytest

from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.cli.engine_runs import why_failed
from console.engines.node_build import NodeBuild
from console.fleet.inventory import NodeEntry

NOT_TRIED = "not switched: it was loaded, and did not run: shape tensors"
REQUEST = BuildRequest(recipe=EngineRecipe(model="detector", onnx="detector.onnx"))


@pytest.mark.parametrize(
    ("gpu", "current", "fails"),
    [("yes", "yes", False), ("yes", NOT_TRIED, True), ("no", NOT_TRIED, False)],
)
def test_an_engine_that_is_not_in_use_where_it_could_be(
    gpu: str, current: str, *, fails: bool
) -> None:
    job = Job(
        id="j",
        kind="engine.build",
        subject="detector",
        owner="maria",
        state="succeeded",
        created_at=1.0,
        result={"engine": "built", "key": "a" * 64, "gpu": gpu, "current": current},
    )
    build = NodeBuild(NodeEntry(name="a", address="unix:///a"), REQUEST, job=job)
    found = why_failed(build)
    assert (found is not None) == fails
    if found is not None:
        assert (found.code, NOT_TRIED in found.detail) == ("engine.not_verified", True)
        assert "roost engine verify a detector --key aaaaaaaaaaaa, " in (found.hint or "")
    build.problem = ProblemError("engine.build", "no", hint="none")
    assert why_failed(build) is build.problem
