"""Lines of a proxy's log: one for each answer, as `config.py` has HAProxy write them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class _Kind(NamedTuple):
    words: int
    backend: str  # what the name of a backend begins with
    # No request waits longer: `timeout server` and `timeout client` in `modes.py`, and 20 s for the
    # connection.
    longest_wait: int  # microseconds
    gives_up: str  # who does not wait any more, of those whose waiting tells how slow the arm is


# By what a line begins with. Errors of gRPC are not judged, as most are in trailers: so what it
# keeps waiting until HAProxy gives up must show in its latency.
_KINDS = {
    "r": _Kind(11, "b-", 620_000_000, "Cc"),
    "g": _Kind(12, "g-", 86_420_000_000, "Ccs"),
}
# Of gRPC, those that stand for a 5xx: unknown, deadline exceeded, unimplemented, internal,
# unavailable, data loss. What comes in trailers is in no line.
_GRPC_ERRORS = frozenset({"2", "4", "12", "13", "14", "15"})
# Over the times that HAProxy itself tells, in whole milliseconds: then the clock was set meanwhile.
SLACK_MICROSECONDS = 20_000


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """One request that ended."""

    backend: str
    server: str  # a slot; "<NOSRV>": none took it
    error: bool
    began: int  # microseconds since 1970
    ended: int
    # Until the answer's headers; where who waited gave up before, how long that was: they would
    # have come later still. None: of another error, or nobody waited for them.
    microseconds: int | None


def answer_of(line: bytes) -> Answer | None:
    """What a line tells; None: it is another kind of line."""
    words = line.decode(errors="replace").split()
    kind = _KINDS.get(words[0]) if words else None
    if kind is None or len(words) != kind.words or not words[1].startswith(kind.backend):
        return None
    _, backend, server, status, why, *times = words[:11]
    waited, connected, answered, began, taken, ended = (_number(each) for each in times)
    if began is None or ended is None:
        return None
    error = _is_error(_number(status) or 0, why) or not _GRPC_ERRORS.isdisjoint(words[11:])
    microseconds = None
    if not error:
        microseconds = _microseconds(taken, waited, connected, answered)
    if microseconds is None and why[:1] in kind.gives_up and why[1:2] in ("C", "H"):
        microseconds = _waited(began, ended, kind.longest_wait)
    return Answer(
        backend=backend,
        server=server,
        error=error,
        began=began,
        ended=ended,
        microseconds=microseconds,
    )


def _waited(began: int, ended: int, longest: int) -> int | None:
    """By the clock alone; None: it was set meanwhile."""
    waited = ended - began
    return waited if 0 <= waited <= longest else None


def _is_error(status: int, why: str) -> bool:
    """5xx, no connection, an answer that was cut off: not what the client cut off itself."""
    if why.startswith(("C", "c")):
        return False
    return status >= 500 or status <= 0 or why.startswith(("S", "s"))


def _microseconds(
    taken: int | None, waited: int | None, connected: int | None, answered: int | None
) -> int | None:
    """By the clock in the line, unless it was set meanwhile; -1 ms: it did not come so far."""
    told = [each for each in (waited, connected, answered) if each is not None and each >= 0]
    if answered is None or answered < 0:
        return None
    most = (sum(told) + len(told)) * 1000 + SLACK_MICROSECONDS
    if taken is None or not 0 <= taken <= most:
        return answered * 1000
    return taken


def _number(word: str) -> int | None:
    try:
        return int(word.lstrip("+"))
    except ValueError:
        return None
