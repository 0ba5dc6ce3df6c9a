"""Lines of a proxy's log: one for each answer, as `config.py` has HAProxy write them."""

from __future__ import annotations

import msgspec

# By what a line begins with: its words, and what its backend's name begins with.
_KINDS = {"r": (11, "b-"), "g": (12, "g-")}
# Of gRPC, those that stand for a 5xx: unknown, deadline exceeded, unimplemented, internal,
# unavailable, data loss. What comes in trailers is in no line.
_GRPC_ERRORS = frozenset({"2", "4", "12", "13", "14", "15"})
# Over the times that HAProxy itself tells, in whole milliseconds: then the clock was set meanwhile.
SLACK_MICROSECONDS = 20_000
# No request waits longer: `timeout server` and `timeout client` in `config.py`, and the connection.
LONGEST_WAIT_MICROSECONDS = 620_000_000


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """One request that ended."""

    backend: str
    server: str  # a slot; "<NOSRV>": none took it
    error: bool
    began: int  # microseconds since 1970
    ended: int
    # Until the answer's headers; where the client gave up before, how long it had waited: they
    # would have come later still. None: of an error, or nobody waited for them.
    microseconds: int | None


def answer_of(line: bytes) -> Answer | None:
    """What a line tells; None: it is another kind of line."""
    words = line.decode(errors="replace").split()
    fields, mark = _KINDS.get(words[0] if words else "", (0, ""))
    if not fields or len(words) != fields or not words[1].startswith(mark):
        return None
    _, backend, server, status, why, *times = words[:11]
    waited, connected, answered, began, taken, ended = (_number(each) for each in times)
    if began is None or ended is None:
        return None
    error = _is_error(_number(status) or 0, why) or not _GRPC_ERRORS.isdisjoint(words[11:])
    microseconds = None
    if not error:
        microseconds = _microseconds(taken, waited, connected, answered)
        if microseconds is None and _gave_up(why):
            microseconds = _waited(began, ended)
    return Answer(
        backend=backend,
        server=server,
        error=error,
        began=began,
        ended=ended,
        microseconds=microseconds,
    )


def _gave_up(why: str) -> bool:
    """The client went away while the server was to take its connection, or to answer."""
    return why[:1] in ("C", "c") and why[1:2] in ("C", "H")


def _waited(began: int, ended: int) -> int | None:
    """By the clock alone; None: it was set meanwhile."""
    waited = ended - began
    return waited if 0 <= waited <= LONGEST_WAIT_MICROSECONDS else None


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
