"""XID events: the driver's error reports, from NVML while it runs and from the kernel log."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Literal, NamedTuple

from agent.protocol.gpus import XidEvent

Source = Literal["nvml", "kernel_log"]

KEPT = 100
# The two reports of one event arrive within this time of each other.
SAME_WITHIN_SECONDS = 10.0

# As in: NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.
_LINE = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+)(?:, *(.*))?")
_PCI = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-7]))?")


def parse_line(line: str, at: float) -> XidEvent | None:
    """The event that a line of the kernel log tells of, if any."""
    found = _LINE.search(line)
    if found is None:
        return None
    return XidEvent(
        code=int(found[2]), at=at, pci_bus_id=nvml_bus_id(found[1]), text=found[3] or None
    )


def nvml_bus_id(address: str) -> str | None:
    """A PCI address as NVML writes it: "0000:3b:00" is "00000000:3B:00.0"."""
    found = _PCI.fullmatch(address)
    if found is None:
        return None
    domain, bus, device, function = found.groups()
    return f"{int(domain or '0', 16):08X}:{bus.upper()}:{device.upper()}.{function or 0}"


class _Single(NamedTuple):
    """An event that only one source has told of yet."""

    source: Source
    event: XidEvent


class XidLog:
    """Gathers events of both sources, each event once. Bounded; used from several threads."""

    def __init__(self) -> None:
        self._fresh: deque[XidEvent] = deque(maxlen=KEPT)
        self._singles: deque[_Single] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, event: XidEvent, source: Source) -> None:
        """Take an event, unless the other source has told of it already."""
        with self._lock:
            for single in self._singles:
                if single.source != source and _same(single.event, event):
                    self._singles.remove(single)
                    # As long as it was not taken, it gains what the other source knows.
                    single.event.text = single.event.text or event.text
                    single.event.gpu_uuid = single.event.gpu_uuid or event.gpu_uuid
                    return
            self._singles.append(_Single(source, event))
            self._fresh.append(event)

    def take(self) -> list[XidEvent]:
        """The events since the last call, oldest first."""
        with self._lock:
            taken = sorted(self._fresh, key=lambda event: event.at)
            self._fresh.clear()
        return taken


def _same(one: XidEvent, other: XidEvent) -> bool:
    return (
        one.code == other.code
        and one.pci_bus_id == other.pci_bus_id
        and abs(one.at - other.at) <= SAME_WITHIN_SECONDS
    )
