"""Taking in what a node says of itself, checked: whatever reads the picture may trust its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.protocol.decoding import decoder_of, from_plain
from agent.protocol.findings import Finding
from agent.protocol.gpus import GpuProcess
from agent.protocol.jobs import Job
from agent.protocol.live import Change, LiveContainer, LiveGpu, LiveNode, Record, Sections, Snapshot
from agent.protocol.node import NodeFacts
from console.link.problems import garbage, too_large

# What the console reads. Sections of a newer agent are kept, unread.
KINDS: Mapping[str, type[Any]] = {
    "node": LiveNode,
    "facts": NodeFacts,
    "gpus": LiveGpu,
    "processes": GpuProcess,
    "containers": LiveContainer,
    "findings": Finding,
    "jobs": Job,
}
# Far more than any node has; a node that invents keys without end must not eat our memory.
RECORDS_LIMIT = 20_000

_snapshots = decoder_of(Snapshot)
_changes = decoder_of(Change)
_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_snapshot(node: str, data: bytes) -> Snapshot:
    """A whole picture.

    Raises:
        ProblemError: `link.garbage` or `link.too_large`.
    """
    try:
        snapshot = _snapshots.decode(data)
        check_sections(snapshot.sections)
    except _FAILURES as error:
        raise garbage(node, str(error)) from None
    _see_size(node, snapshot.sections)
    return snapshot


def apply_change(node: str, sections: Sections, data: bytes) -> Change:
    """Bring `sections` up to date with a change; all of it, or nothing where it is not valid.

    Raises:
        ProblemError: `link.garbage` or `link.too_large`.
    """
    staged: list[tuple[dict[str, Record], str, Record]] = []
    try:
        change = _changes.decode(data)
        for section, records in change.set.items():
            kind = KINDS.get(section)
            mine = sections.setdefault(section, {})
            for key, fields in records.items():
                old = mine.get(key)
                record = fields if old is None else {**old, **fields}
                if kind is not None:
                    from_plain(record, kind)
                staged.append((mine, key, record))
    except _FAILURES as error:
        raise garbage(node, str(error)) from None
    for mine, key, record in staged:
        mine[key] = record
    for section, keys in change.gone.items():
        mine = sections.get(section, {})
        for key in keys:
            mine.pop(key, None)
    _see_size(node, sections)
    return change


def check_sections(sections: Sections) -> None:
    """Raises msgspec.ValidationError where a record is not of its section's kind."""
    for section, records in sections.items():
        kind = KINDS.get(section)
        if kind is not None:
            for record in records.values():
                from_plain(record, kind)


def _see_size(node: str, sections: Sections) -> None:
    if sum(map(len, sections.values())) > RECORDS_LIMIT:
        raise too_large(node, RECORDS_LIMIT, "records")
