"""`healthcheck` of a service."""

from __future__ import annotations

from agent.protocol.workloads import Healthcheck
from console.compose.reading import Place

_KEYS = (*("test", "disable", "interval", "timeout", "retries", "start_period", "start_interval"),)
_HINT = 'Write test: "curl -f localhost", ["CMD", "curl", ...], ["CMD-SHELL", "..."] or ["NONE"].'


def read_healthcheck(place: Place | None) -> Healthcheck | None:
    """None where the image's own is meant."""
    if place is None or place.known(_KEYS) is None:
        return None
    if (disable := place.get("disable")) and disable.truth():
        if test := place.get("test"):
            test.wrong("does not go with disable: true", "Keep one of them.", "compose.conflict")
        return Healthcheck(test=["NONE"])
    check = Healthcheck()
    if test := place.get("test"):
        check.test = _test(test)
    if interval := place.get("interval"):
        check.interval = interval.seconds()
    if timeout := place.get("timeout"):
        check.timeout = timeout.seconds()
    if start_period := place.get("start_period"):
        check.start_period = start_period.seconds()
    if retries := place.get("retries"):
        check.retries = retries.integer(0)
    if start_interval := place.get("start_interval"):
        start_interval.unsupported("Leave it out: runtimes before Docker 25 do not know it.")
    return check


def _test(place: Place) -> list[str]:
    if place.is_text():
        text = place.text()
        return ["CMD-SHELL", text] if text else []
    words = place.texts()
    if not words:
        return []
    fits = {"NONE": len(words) == 1, "CMD": len(words) > 1, "CMD-SHELL": len(words) == 2}
    if not fits.get(words[0]):
        place.wrong(f"begins with {words[0][:40]!r}", _HINT)
        return []
    return words
