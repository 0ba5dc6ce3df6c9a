"""A disk that is nearly full."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.node import Disk

NAME = "disk"

GIBIBYTE = 1024**3
WARN_SHARE = 0.10
WARN_BYTES = 5 * GIBIBYTE
CRITICAL_SHARE = 0.03

_MENDS = {
    "runtime": "`docker system df` shows what images and containers take, and `docker image prune` "
    "removes images without a name. ",
    "roost": "`sudo du -xsh /var/lib/roost/*` shows what Roost keeps. ",
    "system": "`sudo journalctl --vacuum-size=200M` shortens the system's log. ",
}


def check(evidence: Evidence) -> CheckOutcome:
    """Warns below 10 % or 5 GiB free, critical below 3 %. The thresholds are ours.

    5 GiB, because an image with CUDA and TensorRT takes about as much to load.
    """
    disks = evidence.facts.disks
    if not disks:
        return could_not_tell(NAME, "no filesystem could be looked at")
    host = evidence.host
    fresh = host.disk_free_bytes if host is not None else {}
    findings: list[Finding] = []
    unknown: list[str] = []
    for disk in disks:
        if disk.total_bytes <= 0:
            unknown.append(f"{disk.path}: its size is not known")
            continue
        free = fresh.get(disk.path, disk.free_bytes)
        if free < WARN_SHARE * disk.total_bytes or free < WARN_BYTES:
            findings.append(_finding(evidence, disk, free))
    return conclude(NAME, findings, unknown)


def _finding(evidence: Evidence, disk: Disk, free: int) -> Finding:
    share = free / disk.total_bytes
    mends = [_MENDS[purpose] for purpose in disk.purposes if purpose in _MENDS]
    if evidence.facts.runtime.name == "Podman":
        mends = [mend.replace("`docker ", "`podman ") for mend in mends]
    return Finding(
        code="disk.nearly_full",
        severity="critical" if share < CRITICAL_SHARE else "warning",
        subject=f"disk/{disk.path}",
        title=f"{disk.path} is nearly full: {free / GIBIBYTE:.1f} GiB free ({share:.0%})",
        cause=f"The filesystem holds: {', '.join(disk.purposes)}. Loading an image needs room "
        "for the archive and the layers at the same time.",
        mend=f"{''.join(mends)}`sudo du -xh --max-depth=2 {disk.path} | sort -h | tail` finds the "
        "largest folders.",
        evidence={
            "free": f"{free / GIBIBYTE:.1f} of {disk.total_bytes / GIBIBYTE:.1f} GiB",
            "filesystem": disk.filesystem or "unknown",
        },
    )
