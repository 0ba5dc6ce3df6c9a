"""Two are killed (SIGKILL) at once."""

from __future__ import annotations

import pytest

from tests.console.rollouts.kills.cases import TWO_AT_ONCE, Case
from tests.console.rollouts.kills.killing import kill_and_see
from tests.console.rollouts.kills.scene import Scene

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("case", TWO_AT_ONCE, ids=str)
def test_it_goes_on(scene: Scene, case: Case) -> None:
    kill_and_see(scene, case)
