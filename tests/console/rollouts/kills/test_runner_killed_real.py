"""The runner is killed (SIGKILL) in every state of a rollout, on either side of what it writes."""

from __future__ import annotations

import pytest

from tests.console.rollouts.kills.cases import RUNNER, Case
from tests.console.rollouts.kills.killing import kill_and_see
from tests.console.rollouts.kills.scene import Scene

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("case", RUNNER, ids=str)
def test_another_one_goes_on(scene: Scene, case: Case) -> None:
    kill_and_see(scene, case)
