"""A finding in full, and what every check of a node said."""

from __future__ import annotations

import time

from agent.protocol.findings import DoctorReport, Finding
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.rows.findings import about
from console.tui.rows.fleet import SEVERITY_TONES
from console.tui.widgets.page import BLANK, Entry

_OUTCOMES = {
    "ok": ("ok", "good"),
    "found": ("found", "bad"),
    "could_not_tell": ("could not tell", "warn"),
    "does_not_apply": ("does not apply", "dim"),
}
_OUTCOME_WIDTH = 16
_UNIX_DIGITS = 10  # until the year 2286


def finding_entries(finding: Finding, view: NodeView) -> list[Entry]:
    """Title, cause, mend, evidence."""
    entries = [
        Entry("", finding.title, SEVERITY_TONES[finding.severity]),
        Entry("", f"{finding.severity} on {view.name}, about {about(finding, view)}", "dim"),
        BLANK,
        Entry("Cause  ", finding.cause),
        BLANK,
        Entry("Mend   ", finding.mend, "", "accent"),
    ]
    if finding.evidence:
        entries.append(BLANK)
        entries += [Entry(f"{key}: ", _readable(key, v)) for key, v in finding.evidence.items()]
    entries += [BLANK, Entry("code ", finding.code, "dim")]
    if view.state != "live":
        age = words.age(view.age_seconds())
        entries.append(Entry("", f"The node is {view.state}: this is {age} old.", "warn"))
    return entries


def _readable(key: str, value: str) -> str:
    """Unix times as people write them, here."""
    if key.endswith("_at") and value.isdecimal() and len(value) == _UNIX_DIGITS:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(value)))
    return value


def report_entries(report: DoctorReport) -> list[Entry]:
    """One line a check; what could not be told says why."""
    entries = []
    for check in report.checks:
        word, tone = _OUTCOMES[check.outcome]
        text = check.check.replace("_", " ")
        if check.findings:
            text += f": {', '.join(f.title for f in check.findings)}"
        elif check.reason:
            text += f": {check.reason}"
        entries.append(Entry(f"{word:<{_OUTCOME_WIDTH}}", text, "", tone))
    return entries
