"""The node's clock against the console's."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "clock"

LIMIT_SECONDS = 5.0


def check(evidence: Evidence) -> CheckOutcome:
    """Found when the offset, less what the measuring may be wrong by, is over 5 s."""
    clock = evidence.clock
    if clock is None:
        return could_not_tell(NAME, "no console has told its time")
    off = abs(clock.seconds)
    if off - clock.uncertainty_seconds <= LIMIT_SECONDS:
        if clock.uncertainty_seconds > LIMIT_SECONDS:
            return could_not_tell(
                NAME,
                f"measured {clock.seconds:+.1f} s, give or take {clock.uncertainty_seconds:.1f} s: "
                "the link is too slow to tell",
            )
        return conclude(NAME, [])
    way = "ahead of" if clock.seconds > 0 else "behind"
    return conclude(
        NAME,
        [
            Finding(
                code="clock.off",
                severity="warning",
                subject="node",
                title=f"The clock is {_words(off)} {way} the console's",
                cause="The node's time is not synchronised, or the console's is not. Times in "
                "logs do not match, and certificates and schedules may be refused or missed.",
                mend="`timedatectl` on both machines says which is wrong. `sudo timedatectl "
                "set-ntp true` synchronises; without a time server in reach, "
                "`sudo date -u -s 'YYYY-MM-DD HH:MM:SS'`.",
                evidence={
                    "offset_seconds": f"{clock.seconds:+.1f}",
                    "uncertainty_seconds": f"{clock.uncertainty_seconds:.1f}",
                },
            )
        ],
    )


def _words(seconds: float) -> str:
    for size, word in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
