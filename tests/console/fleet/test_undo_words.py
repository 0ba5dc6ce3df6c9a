"""What an undo would do, in words."""

from __future__ import annotations

from typing import Any

import pytest

from agent.protocol.deployments import DeployedWorkload, Deployment, DeployOptions
from console.fleet.plan_words import undo_words


def deployment(state: Any = "done", others: tuple[str, ...] = (), **part: Any) -> Deployment:
    names = ["web", *others]
    return Deployment(
        id="d1",
        release="r1",
        state=state,
        owner="maria",
        created_at=0.0,
        options=DeployOptions(),
        workloads=[DeployedWorkload(name=n, strategy="stop-then-start", **part) for n in names],
        history=[],
    )


OLD = "c" * 64


@pytest.mark.parametrize(
    ("given", "can_undo", "words"),
    [
        (None, False, "nothing: its newest deployment is not known any more"),
        (deployment("reverted", old=OLD), True, "nothing: its newest deployment was taken back"),
        (deployment("reverting", old=OLD), True, "nothing: it is being taken back now"),
        (deployment("stuck", old=OLD), True, "a person is needed first"),
        (deployment(), True, "removes it, for nothing ran before"),
        (deployment(old=OLD), True, "container cccccccccccc, which is kept, runs again as it was"),
        (deployment(old=OLD), False, "container cccccccccccc is made again, if it is gone"),
        (deployment("canary", old=OLD), False, "container cccccccccccc, which is kept, runs again"),
        (deployment(old=OLD, new=OLD, stays=True), True, "its container is not touched"),
        (deployment(others=("app",), old=OLD), True, "; with it go back: app"),
    ],
)
def test_an_undo(given: Deployment | None, *, can_undo: bool, words: str) -> None:
    assert words in undo_words("web", given, can_undo=can_undo)


def test_of_another_workload() -> None:
    words = undo_words("app", deployment(), can_undo=True)
    assert words == "nothing: its newest deployment is not about it"
