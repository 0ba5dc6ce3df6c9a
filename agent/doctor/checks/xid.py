"""XID errors that the driver reported lately."""

from __future__ import annotations

from collections.abc import Mapping

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.doctor.xids import CATALOG, XIDS, Xid, XidKind
from agent.protocol.findings import CheckOutcome, Finding, Severity
from agent.protocol.gpus import XidEvent

NAME = "xid"

# Ours: a program's fault is news for an hour, a GPU's for a day. The driver does not say when an
# error is over.
NEWS_SECONDS: Mapping[XidKind, float] = {
    "application": 3600.0,
    "note": 3600.0,
    "restart": 86400.0,
    "reset": 86400.0,
    "reboot": 86400.0,
    "hardware": 86400.0,
}
# Ours: from here on within the time above, programs do not fault by chance.
STORM_COUNT = 10

_SEVERITIES: Mapping[XidKind, Severity] = {
    "application": "warning",
    "note": "info",
    "restart": "warning",
    "reset": "error",
    "reboot": "critical",
    "hardware": "error",
}
_MENDS: Mapping[XidKind, str] = {
    "application": "Look into the program's log and run it under `compute-sanitizer`; its "
    "container can be started again at once.",
    "note": "Nothing to do for this code alone; read what came before it: "
    "`sudo dmesg | grep -i xid`.",
    "restart": "Start the container concerned again. If the error comes back, stop what uses the "
    "GPU and {reset}; then ask the vendor.",
    "reset": "Stop everything that uses the GPU, then {reset}, or "
    "`sudo reboot` where that is refused. If the error comes back, have the GPU replaced.",
    "reboot": "`sudo reboot`, and cut the power if that does not help. If it comes back, check the "
    "card's seat, riser and power cable, and have it replaced.",
    "hardware": "Check the card's seat, cables and cooling at the machine. "
    "`nvidia-smi -q -i {gpu}` has the counters to give to the vendor.",
}
_NOT_LISTED = Xid("a code that Roost's table does not have", "restart", CATALOG)


def check(evidence: Evidence) -> CheckOutcome:
    """One finding per GPU and code, with how often and when last."""
    report = evidence.gpus
    if evidence.is_tegra or report.stack.state == "no_gpu":
        return does_not_apply(NAME, "no GPU here reports XIDs")
    groups: dict[tuple[str, int], list[XidEvent]] = {}
    for event in report.xids:
        kind = XIDS.get(event.code, _NOT_LISTED).kind
        if evidence.at - event.at <= NEWS_SECONDS[kind]:
            groups.setdefault((_subject(evidence, event), event.code), []).append(event)
    findings = [
        _finding(evidence, subject, code, events) for (subject, code), events in groups.items()
    ]
    if not findings and report.stack.state not in ("ok", "simulated"):
        return could_not_tell(NAME, report.stack.reason or f"the driver: {report.stack.state}")
    return conclude(NAME, findings)


def _subject(evidence: Evidence, event: XidEvent) -> str:
    """The GPU's UUID where it is known, else its PCI address."""
    if event.gpu_uuid is not None:
        return f"gpu/{event.gpu_uuid}"
    for gpu in evidence.gpus.gpus:
        if gpu.pci_bus_id is not None and event.pci_bus_id is not None:
            mine, its = (_short(address) for address in (gpu.pci_bus_id, event.pci_bus_id))
            if mine == its:
                return f"gpu/{gpu.uuid}"
    return f"gpu/{event.pci_bus_id or 'unknown'}"


def _short(address: str) -> str:
    """ "00000000:01:00.0" and "0000:01:00" (kernel log) as "01:00", in domain 0; else whole."""
    domain, _, rest = address.lower().partition(":")
    place = rest.partition(".")[0]
    return place if domain.strip("0") == "" else f"{domain.lstrip('0')}:{place}"


def _finding(evidence: Evidence, subject: str, code: int, events: list[XidEvent]) -> Finding:
    xid = XIDS.get(code, _NOT_LISTED)
    storm = len(events) >= STORM_COUNT and xid.kind in ("application", "restart")
    uuid = subject.removeprefix("gpu/")
    gpu = evidence.gpu(uuid)
    last = events[-1]
    found = {
        "count": str(len(events)),
        "last_at": f"{last.at:.0f}",  # Unix time
        "kind": xid.kind,
        "source": xid.source,
    }
    if last.text:
        found["text"] = last.text
    where = f"GPU {gpu.index}" if gpu is not None else f"the GPU at {uuid}"
    often = f", {len(events)} times" if len(events) > 1 else ""
    return Finding(
        code=f"gpu.xid.{code}",
        severity="error" if storm else _SEVERITIES[xid.kind],
        subject=subject,
        title=f"XID {code} on {where}{often}: {xid.meaning.partition(':')[0]}",
        cause=f"The driver reported XID {code}: {xid.meaning}."
        + (" It keeps happening." if storm else ""),
        mend=_MENDS[xid.kind].format(gpu=uuid, reset=reset_gpu(uuid)),
        evidence=found,
        since=events[0].at,
    )
