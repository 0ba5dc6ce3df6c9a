"""The agent's last upgrade went back."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "agent_upgrade"
# Whoever did not see it in a week does not wait for it.
TOLD_SECONDS = 7 * 86400.0


def check(evidence: Evidence) -> CheckOutcome:
    """What was meant to run here does not."""
    upgrade = evidence.facts.agent.upgrade
    if upgrade is None:
        return does_not_apply(NAME, "the agent does not run from a kit")
    last = upgrade.last
    if last is None or last.outcome == "done" or evidence.at - last.at > TOLD_SECONDS:
        return conclude(NAME, [])
    return conclude(
        NAME,
        [
            Finding(
                code="agent.upgrade_returned",
                severity="warning",
                subject="agent",
                title=f"The upgrade to agent {last.id} went back",
                cause=f"{last.why or 'It does not say why'}. Agent {upgrade.kit} runs again.",
                mend="`journalctl -u roost-agent` has what the other one said. Upgrade again with"
                " a kit that works: `roost agent upgrade NODE --kit FILE`.",
            )
        ],
    )
