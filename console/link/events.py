"""Reading server-sent events."""

from __future__ import annotations

from typing import NamedTuple

from console.link.problems import too_large

# A snapshot of a node with hundreds of containers is a few hundred kilobytes.
EVENT_LIMIT_BYTES = 8 * 1024 * 1024


class Event(NamedTuple):
    """One event. `data` is what an agent's handler encoded: one line of JSON."""

    name: str
    data: bytes
    id: str | None = None


class EventParser:
    """Cuts a stream of bytes into events. Sans I/O, and linear however small the pieces are."""

    def __init__(self, node: str, *, limit: int = EVENT_LIMIT_BYTES) -> None:
        self._node = node
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> tuple[list[Event], bool]:
        """Events that `data` completes, and whether it completed anything: comments prove life.

        Raises:
            ProblemError: `link.too_large`: an event that does not end.
        """
        rest = self._rest
        # The first of the two line ends may have come before.
        seen = max(0, len(rest) - 1)
        rest += data
        end = rest.rfind(b"\n\n", seen)
        if end < 0:
            if len(rest) > self._limit:
                raise too_large(self._node, self._limit)
            return [], False
        blocks = bytes(rest[:end]).split(b"\n\n")
        del rest[: end + 2]
        return [event for block in blocks if (event := _event(block))], True


def _event(block: bytes) -> Event | None:
    name, id_, data = "", None, []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id":
            id_ = value.decode("utf-8", "replace")
    return Event(name or "message", b"\n".join(data), id_) if data else None
