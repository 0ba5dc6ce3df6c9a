"""The agent is killed (SIGKILL) in every state of a deployment, and at each step of its weights."""

from __future__ import annotations

import pytest

from tests.console.rollouts.kills.cases import AGENT, Case
from tests.console.rollouts.kills.killing import kill_and_see
from tests.console.rollouts.kills.scene import Scene

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("case", AGENT, ids=str)
def test_the_next_one_goes_on_or_back(scene: Scene, case: Case) -> None:
    kill_and_see(scene, case)
