"""HAProxy and dockerd are killed (SIGKILL) amid a deployment: they come back, and it goes on."""

from __future__ import annotations

import pytest

from tests.console.rollouts.kills.cases import DOCKERD, PROXY, Case
from tests.console.rollouts.kills.killing import kill_and_see
from tests.console.rollouts.kills.scene import Scene

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("case", [*PROXY, *DOCKERD], ids=str)
def test_it_goes_on(scene: Scene, case: Case) -> None:
    kill_and_see(scene, case)
