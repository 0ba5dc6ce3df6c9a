"""What a node's agent is, in words."""

from __future__ import annotations

import pytest

from agent.protocol.node import AgentInfo
from agent.protocol.upgrades import AgentUpgrade
from console.fleet.agent_words import upgrade_lines


@pytest.mark.parametrize(
    ("upgrade", "lines"),
    [
        (None, []),
        (AgentUpgrade(kit="2-b"), ["kit 2-b"]),
        (
            AgentUpgrade(kit="2-b", on_trial=True),
            ["kit 2-b, on trial: it goes back unless it is confirmed"],
        ),
        (
            AgentUpgrade(kit="2-b", on_trial=True, confirmed=True),
            ["kit 2-b, on trial: it goes back unless all of it starts"],
        ),
    ],
)
def test_a_trial_says_until_when_it_goes_back(
    upgrade: AgentUpgrade | None, lines: list[str]
) -> None:
    agent = AgentInfo(version="2", api_version="1.0", boot="b", started_at=0.0, upgrade=upgrade)
    assert list(upgrade_lines(agent)) == lines
