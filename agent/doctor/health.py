"""Counters that not every GPU has."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.evidence import Evidence
from agent.protocol.gpus import Gpu, GpuHealth

DO_NOT_HAVE_IT = ("not_supported", "function_missing")


def with_health(evidence: Evidence, *fields: str) -> Iterator[tuple[Gpu, GpuHealth, str | None]]:
    """GPUs that have these counters, what was read of them, and why one is unknown, if it is."""
    health = {entry.uuid: entry for entry in evidence.gpus.health}
    for gpu in evidence.gpus.gpus:
        entry = health.get(gpu.uuid)
        if entry is None:
            yield gpu, GpuHealth(uuid=gpu.uuid), "not read yet"
            continue
        unknown = next((field for field in fields if getattr(entry, field) is None), None)
        reason = None if unknown is None else entry.unknown.get(unknown, "not read")
        if reason not in DO_NOT_HAVE_IT:
            yield gpu, entry, reason
