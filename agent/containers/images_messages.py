"""The messages of which the answers to a load and a build are made: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from agent.containers.api_stream import StreamBrokenError

LINE_LIMIT_BYTES = 1024 * 1024


class Message(NamedTuple):
    """One line of JSON: what it says, and its words of an error where it tells of one."""

    said: Mapping[str, Any]
    error: str | None


class Messages:
    """A body's lines, as its bytes come. Its status is 200 also when it tells of a failure."""

    def __init__(self) -> None:
        self._line = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """What has become whole with some more of the body.

        Raises:
            StreamBrokenError: a line without end.
        """
        *lines, self._line = (self._line + data).split(b"\n")
        yield from (_message(line) for line in lines if line.strip())
        if len(self._line) > LINE_LIMIT_BYTES:
            raise StreamBrokenError("a line without end")

    def end(self) -> Iterator[Message]:
        """The last one, if no end of line followed it."""
        line, self._line = self._line, b""
        if line.strip():
            yield _message(line)


def _message(line: bytes) -> Message:
    try:
        said = msgspec.json.decode(line)
    except msgspec.DecodeError:
        said = None
    if not isinstance(said, dict):
        return Message({}, line.decode(errors="replace").strip())
    if "errorDetail" not in said and "error" not in said:
        return Message(said, None)
    detail = said.get("errorDetail")
    words = detail.get("message") if isinstance(detail, dict) else None
    return Message(said, str(words or said.get("error") or "an error without a text"))
