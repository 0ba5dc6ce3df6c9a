"""The agent of a node in words."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.node import AgentInfo
from console.text import clean


def upgrade_lines(agent: AgentInfo) -> Iterator[str]:
    """From which kit it runs, and what became of the last upgrade; nothing: not from a kit."""
    upgrade = agent.upgrade
    if upgrade is None:
        return
    trial = ""
    if upgrade.on_trial:
        until = "all of it starts" if upgrade.confirmed else "it is confirmed"
        trial = f", on trial: it goes back unless {until}"
    yield clean(f"kit {upgrade.kit}{trial}")
    last = upgrade.last
    if last is not None and last.outcome == "returned":
        yield clean(f"went back from {last.id}: {last.why or 'it does not say why'}")
    elif last is not None and last.was and not upgrade.on_trial:
        yield clean(f"before that kit {last.was}")
