"""When to try again."""

from __future__ import annotations

from random import Random

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
# A person must act first, and says so by `retry` or by starting anew.
REFUSED_SECONDS = 300.0
# A link that held so long was good: the next failure is a new one.
STEADY_SECONDS = 10.0

# Reached, but a person must act before it can work.
REFUSALS = frozenset(
    {
        "auth.missing",
        "auth.token_unknown",
        "auth.token_expired",
        "auth.role",
        "fleet.address",
        "link.api_unknown",
        "link.fingerprint",
        "link.token_missing",
        "link.socket_path",
        "link.socket_permission",
        "ssh.missing",
        "ssh.passphrase",
        "ssh.host_key_unknown",
        "ssh.host_key_changed",
        "ssh.denied",
        "ssh.group",
        "ssh.forwarding",
    }
)


def jitter() -> Random:
    """Chance for waits, another in every process."""
    return Random()  # noqa: S311 - nothing is secret about when one tries again


class BackOff:
    """Waits that double up to a minute, each somewhere in its second half.

    Without that jitter all nodes behind one link that came back would be tried at one moment.
    """

    def __init__(self, random: Random, *, first_seconds: float = FIRST_SECONDS) -> None:
        self._random = random
        self._first = self._next = first_seconds

    def reset(self) -> None:
        self._next = self._first

    def after(self, code: str) -> float:
        """Seconds to wait after a problem of that code."""
        if code in REFUSALS:
            return self._jittered(REFUSED_SECONDS)
        wait, self._next = self._next, min(self._next * 2, MOST_SECONDS)
        return self._jittered(wait)

    def _jittered(self, wait: float) -> float:
        return wait * self._random.uniform(0.5, 1.0)
