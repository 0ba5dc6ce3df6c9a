"""The doctor's check of the agent's own last upgrade."""

from __future__ import annotations

import msgspec

from agent.doctor.checks import agent_upgrade
from agent.protocol.upgrades import AgentUpgrade, LastUpgrade
from tests.agent.doctor.patients import NOW, Patient


def patient(last: LastUpgrade | None, *, from_kit: bool = True) -> Patient:
    made = Patient()
    upgrade = AgentUpgrade(kit="1.0-a", last=last) if from_kit else None
    made.agent = msgspec.structs.replace(made.agent, upgrade=upgrade)
    return made


def test_an_upgrade_that_went_back_is_told_for_a_week() -> None:
    for ago, told in ((60.0, True), (8 * 86400.0, False)):
        last = LastUpgrade(id="2.0-b", outcome="returned", at=NOW - ago, why="it crashed")
        outcome = agent_upgrade.check(patient(last).evidence())
        assert [each.code for each in outcome.findings] == ["agent.upgrade_returned"] * told
        assert all("it crashed" in each.cause for each in outcome.findings)


def test_an_upgrade_that_was_kept_is_none() -> None:
    for last in (None, LastUpgrade(id="2.0-b", outcome="done", at=NOW)):
        assert agent_upgrade.check(patient(last).evidence()).findings == []


def test_without_a_kit_it_does_not_apply() -> None:
    outcome = agent_upgrade.check(patient(None, from_kit=False).evidence())
    assert outcome.outcome == "does_not_apply"
