"""The shape of a check, and how one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding


class Check(NamedTuple):
    """A name, and a pure function of the evidence."""

    name: str
    look: Callable[[Evidence], CheckOutcome]


def conclude(name: str, findings: list[Finding], unknown: Iterable[str] = ()) -> CheckOutcome:
    """Found if there are findings; else could not tell if anything is unknown; else ok.

    Args:
        unknown: What could not be told and why, one sentence part each. Told beside findings too.
    """
    reason = "; ".join(dict.fromkeys(unknown)) or None
    if findings:
        return CheckOutcome(check=name, outcome="found", reason=reason, findings=findings)
    return CheckOutcome(check=name, outcome="could_not_tell" if reason else "ok", reason=reason)


def could_not_tell(name: str, reason: str) -> CheckOutcome:
    """The evidence does not suffice, and `reason` says what is missing."""
    return CheckOutcome(check=name, outcome="could_not_tell", reason=reason)


def does_not_apply(name: str, reason: str) -> CheckOutcome:
    """There is nothing on this node that the check is about."""
    return CheckOutcome(check=name, outcome="does_not_apply", reason=reason)


def without_gpus(name: str, evidence: Evidence) -> CheckOutcome | None:
    """How a check of GPUs ends where none is listed, or None where there are some."""
    stack = evidence.gpus.stack
    if evidence.gpus.gpus:
        return None
    if stack.state in ("ok", "simulated", "no_gpu"):
        return does_not_apply(name, "no NVIDIA GPU in this machine")
    return could_not_tell(name, stack.reason or f"the driver's state is {stack.state}")
