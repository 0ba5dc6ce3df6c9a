"""`/v1/events`: the live picture of a node as sections, a snapshot, and changes.

A section maps keys to flat records. A change says which fields of which records have a new
value, against the picture before it; a record that is new comes whole. Figures are rounded
(`agent.rules.quantise`), so a quiet node sends nothing but a comment every 10 s.

    node        ""                  LiveNode
    facts       ""                  agent.protocol.node.NodeFacts, whole at every change
    gpus        UUID                LiveGpu
    processes   "<gpu uuid>/<pid>"  agent.protocol.gpus.GpuProcess
    containers  container id        LiveContainer
    findings    Finding.key         agent.protocol.findings.Finding
    jobs        job id              agent.protocol.jobs.Job: all under way, and the last that ended
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.protocol.containers import Container
from agent.protocol.gpus import GpuStackState, GpuState
from agent.protocol.node import RuntimeState

Section = Literal["node", "facts", "gpus", "processes", "containers", "findings", "jobs"]
SECTIONS: tuple[Section, ...] = (
    "node",
    "facts",
    "gpus",
    "processes",
    "containers",
    "findings",
    "jobs",
)
Record = dict[str, Any]
Sections = dict[str, dict[str, Record]]

COMMENT_EVERY_SECONDS = 10.0
STALE_AFTER_SECONDS = 25.0


class Snapshot(msgspec.Struct, kw_only=True):
    """`event: snapshot`: the whole picture. The first event of a stream that cannot resume."""

    at: float  # the node's clock, Unix seconds
    sections: Sections


class Change(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`event: change`. `gone` names the keys that are no more."""

    at: float
    set: Sections = {}
    gone: dict[str, list[str]] = {}


class LiveNode(msgspec.Struct, kw_only=True):
    """The node's own figures, rounded."""

    name: str
    gpu_state: GpuStackState
    gpu_reason: str | None = None
    runtime_state: RuntimeState
    runtime_reason: str | None = None
    cpu_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    disk_free_percent: int | None = None  # of the fullest disk


class LiveGpu(msgspec.Struct, kw_only=True):
    """A GPU's figures, rounded."""

    index: int
    name: str
    state: GpuState
    reason: str | None = None
    utilization_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: int | None = None
    power_watts: int | None = None
    sm_clock_mhz: int | None = None
    fan_percent: int | None = None
    throttle: list[str] = []
    unknown: dict[str, str] = {}


class LiveContainer(Container, kw_only=True):
    """A container with its rounded figures."""

    cpu_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_limit_bytes: int | None = None


def apply_change(sections: Sections, change: Change) -> None:
    """Bring `sections` up to date, in place."""
    for section, records in change.set.items():
        mine = sections.setdefault(section, {})
        for key, fields in records.items():
            record = mine.get(key)
            if record is None:
                mine[key] = fields
            else:
                record.update(fields)
    for section, keys in change.gone.items():
        mine = sections.get(section, {})
        for key in keys:
            mine.pop(key, None)


def difference(before: Sections, after: Sections, *, at: float) -> Change | None:
    """The change from `before` to `after`, or None where nothing differs.

    Only sections named in `after` are compared: leave one out to say nothing of it.
    """
    changed: Sections = {}
    gone: dict[str, list[str]] = {}
    for section, records in after.items():
        old_records = before.get(section, {})
        for key, record in records.items():
            old = old_records.get(key)
            if old is record or old == record:
                continue
            fields = (
                record
                if old is None
                else {name: value for name, value in record.items() if old.get(name) != value}
            )
            if fields:
                changed.setdefault(section, {})[key] = fields
        lost = [key for key in old_records if key not in records]
        if lost:
            gone[section] = lost
    return Change(at=at, set=changed, gone=gone) if changed or gone else None
