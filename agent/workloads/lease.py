"""The lease of `confirm_within`: it counts on a clock that nobody sets, across reboots too."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import msgspec

from agent.workloads.records import DeploymentRecord

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BootClock(Protocol):
    """Seconds since this boot, time asleep included, and which boot this is."""

    @property
    def boot(self) -> str: ...

    def now(self) -> float: ...


class LinuxBootClock:
    """CLOCK_BOOTTIME of this machine."""

    def __init__(self, boot_id: Path = BOOT_ID) -> None:
        try:
            self._boot = boot_id.read_text(encoding="ascii").strip()
        except OSError:
            self._boot = ""  # every start of the agent is another boot, then

    @property
    def boot(self) -> str:
        return self._boot

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def renewed(record: DeploymentRecord, clock: BootClock) -> DeploymentRecord:
    """The lease from now on, for as long as it ever is."""
    return _with(record, clock, record.shown.options.confirm_within)


def taken_up(record: DeploymentRecord, clock: BootClock) -> DeploymentRecord:
    """As whoever goes on with it finds it: it begins, or counts on, in this boot from now."""
    return renewed(record, clock) if record.lease_until is None else counted(record, clock)


def counted(record: DeploymentRecord, clock: BootClock) -> DeploymentRecord:
    """What is left written down, so that another boot counts on from there."""
    return _with(record, clock, seconds_left(record, clock))


def seconds_left(record: DeploymentRecord, clock: BootClock) -> float:
    """Until the node reverts by itself; the whole lease where it has not begun."""
    if record.lease_until is None:
        return record.shown.options.confirm_within
    if record.lease_boot == clock.boot and clock.boot:
        return max(0.0, record.lease_until - clock.now())
    return record.lease_left or 0.0


def _with(record: DeploymentRecord, clock: BootClock, left: float) -> DeploymentRecord:
    return msgspec.structs.replace(
        record,
        lease_boot=clock.boot,
        lease_until=clock.now() + left,
        lease_left=left,
        shown=msgspec.structs.replace(record.shown, lease_seconds_left=left),
    )
