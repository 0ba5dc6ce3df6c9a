"""What the doctor says."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")


class Finding(msgspec.Struct, kw_only=True):
    """Something that is wrong: where, why, and how to mend it."""

    code: str  # stable, dotted: "gpu.driver_mismatch"
    severity: Severity
    subject: str  # what it is about: "node", "gpu/GPU-...", "container/<id>", "disk/<path>"
    title: str  # one line
    cause: str
    mend: str  # what to do; commands in backticks
    evidence: dict[str, str] = {}
    since: float | None = None  # Unix time when it was first seen

    @property
    def key(self) -> str:
        """Names the finding among all of its node."""
        return f"{self.code}:{self.subject}"


class CheckOutcome(msgspec.Struct, kw_only=True):
    """One check's result. `could_not_tell` is a result too, and says why."""

    check: str
    outcome: Literal["ok", "found", "could_not_tell", "does_not_apply"]
    reason: str | None = None
    findings: list[Finding] = []


class DoctorReport(msgspec.Struct, kw_only=True):
    """`GET /v1/doctor`."""

    node: str
    at: float
    checks: list[CheckOutcome]

    @property
    def findings(self) -> list[Finding]:
        """All findings, the worst first."""
        found = [finding for check in self.checks for finding in check.findings]
        return sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code, f.subject))
