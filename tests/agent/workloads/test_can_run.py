"""Whether a workload's image can run here, with and without an operator's rows."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from agent.protocol.compatibility import Found, GpuVerdict, ImageNeeds, Reason, Verdict
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.can_run import CanRun, warnings_of
from tests.agent.doubles import FixedRuntime
from tests.agent.rules.nodes_made import T4, node

NEEDS = ImageNeeds(
    architecture="amd64",
    wants_gpu=True,
    cuda=Found(version="12.9.1", where="env NV_CUDA_LIB_VERSION"),
    looked_inside=True,
)


@pytest.fixture
def facts() -> NodeFacts:
    """A node with a T4 and a driver of 2021."""
    return node("470.256.02", T4)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FixedRuntime:
    """One that tells the needs above of every image, but not of "none"."""
    made = FixedRuntime()

    async def image_needs(reference: str, *, inside: bool = False) -> ImageNeeds:
        assert not inside
        if reference == "none":
            raise ProblemError("image.not_found", "the node's runtime has no image 'none'")
        return NEEDS

    monkeypatch.setattr(made, "image_needs", image_needs)
    return made


async def test_with_roosts_own_tables(runtime: FixedRuntime, facts: NodeFacts) -> None:
    can_run = CanRun(runtime, lambda: facts, tables=None)
    verdict = await can_run.verdict("detector:1")
    assert verdict is not None
    codes = [reason.code for reason in verdict.gpus[0].reasons]
    assert "cuda.driver_too_old" in codes
    assert any("525.60.13" in warning for warning in warnings_of(verdict, [T4.uuid]))
    assert await can_run.verdict("none") is None


async def test_with_the_operators_rows(
    runtime: FixedRuntime, facts: NodeFacts, tmp_path: Path
) -> None:
    file = tmp_path / "compatibility.json"
    file.write_text(
        json.dumps({"driver_floors": [{"cuda": "12", "driver": "470.1", "source": "ours"}]})
    )
    verdict = await CanRun(runtime, lambda: facts, tables=file).verdict("detector:1")
    assert verdict is not None
    assert "cuda.driver_too_old" not in [reason.code for reason in verdict.gpus[0].reasons]


async def test_a_file_that_cannot_be_used_is_logged(
    runtime: FixedRuntime, facts: NodeFacts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "compatibility.json"
    file.write_text("{")
    verdict = await CanRun(runtime, lambda: facts, tables=file).verdict("detector:1")
    assert verdict is not None
    assert f"{file}, line 1" in caplog.text


def test_warnings_are_of_the_gpus_that_were_chosen() -> None:
    def reason(code: str, ability: str) -> Reason:
        return msgspec.convert(
            {"code": code, "ability": ability, "what": f"{code}.", "mend": "Mend.", "source": "s"},
            Reason,
        )

    verdict = Verdict(
        ability="runs",
        reasons=[reason("node", "warns")],
        gpus=[
            GpuVerdict(
                uuid=f"GPU-{index}",
                index=index,
                name="x",
                ability="fails",
                reasons=[reason(f"gpu{index}", "fails"), reason("maybe", "unknown")],
            )
            for index in range(2)
        ],
    )
    assert warnings_of(verdict, ["GPU-1"]) == [
        "node. Mend.",
        "the image cannot run here: gpu1. Mend.",
    ]
