"""From the bytes of a log stream to lines: no I/O, and never more than one cut line in memory."""

from __future__ import annotations

from agent.containers.frames import Part, StreamName
from agent.protocol.containers import LOG_LINE_LIMIT_BYTES, LogLine

# A stamp with nanoseconds and an offset has 35.
_STAMP_LIMIT_BYTES = 40
_STAMP_LEAST_BYTES = 20


class LineAssembler:
    """Puts the lines of both streams together. The runtime was asked for time stamps.

    Each message of the runtime begins with its stamp and a space. A line over 16 KiB comes as
    several messages (4 to 8 KiB on Podman), each with a stamp, and only the last with a line
    break; so where a message begins decides what is a stamp. Frames say that. Without frames (a
    terminal) each message is a chunk of its own, and every line begins one too.
    """

    def __init__(self, *, framed: bool, limit_bytes: int = LOG_LINE_LIMIT_BYTES) -> None:
        """What of a line is over `limit_bytes` is cut off."""
        self._framed = framed
        self._lines: dict[StreamName, _Line] = {
            "stdout": _Line(limit_bytes),
            "stderr": _Line(limit_bytes),
        }

    def feed(self, part: Part) -> list[LogLine]:
        """The lines that `part` completes."""
        line = self._lines[part.stream]
        found: list[LogLine] = []
        data, begins = part.data, part.begins
        while data:
            if begins or not (self._framed or line.begun):
                line.expect_stamp()
            begins = False
            text, newline, data = data.partition(b"\n")
            line.add(text, ended=bool(newline))
            if newline:
                found.append(line.take(part.stream))
        return found

    def finish(self) -> list[LogLine]:
        """What has no line break at the end of the stream."""
        return [line.take(stream) for stream, line in self._lines.items() if line.begun]


class _Line:
    """One line as it comes in."""

    def __init__(self, limit_bytes: int) -> None:
        self.begun = False
        self._limit = limit_bytes
        self._at: bytes | None = None
        self._text = bytearray()
        self._cut = 0
        self._last = b""  # the last bytes that were cut off
        self._stamp: bytearray | None = None  # what may become one

    def expect_stamp(self) -> None:
        """A message begins here."""
        self._stamp = bytearray()
        if not self.begun:
            self._at = None

    def add(self, data: bytes, *, ended: bool) -> None:
        self.begun = True
        if self._stamp is not None:
            self._stamp += data
            data = self._past_stamp(self._stamp, complete=ended)
        room = self._limit - len(self._text)
        if len(data) > room:
            self._cut += len(data) - max(room, 0)
            self._last = data[-1:]
            data = data[: max(room, 0)]
        self._text += data

    def take(self, stream: StreamName) -> LogLine:
        """The line, and begin the next; that has the same stamp unless it gets one of its own."""
        if self._stamp:
            self.add(b"", ended=True)
        text, cut = bytes(self._text), self._cut
        if cut:
            whole = _whole_characters(text)
            cut += len(text) - len(whole) - (self._last == b"\r")
            text = whole
        elif text.endswith(b"\r"):
            text = text[:-1]
        line = LogLine(
            text=text.decode(errors="replace"),
            at=self._at.decode("ascii") if self._at else None,
            stream=stream,
            cut_bytes=cut,
        )
        self.begun = False
        self._cut, self._last, self._stamp = 0, b"", None
        self._text.clear()
        return line

    def _past_stamp(self, data: bytearray, *, complete: bool) -> bytes:
        """What follows the stamp; nothing while it is not there whole."""
        stamp, space, rest = bytes(data[: _STAMP_LIMIT_BYTES + 1]).partition(b" ")
        if not space and not complete and len(data) <= _STAMP_LIMIT_BYTES:
            return b""
        self._stamp = None
        if not (space and _is_stamp(stamp)):
            return bytes(data)
        if not self._text and not self._cut:
            self._at = stamp
        return rest + bytes(data[_STAMP_LIMIT_BYTES + 1 :])


def _is_stamp(text: bytes) -> bool:
    return (
        _STAMP_LEAST_BYTES <= len(text) <= _STAMP_LIMIT_BYTES
        and text[:4].isdigit()
        and text[4:5] == b"-"
        and text[10:11] == b"T"
        and (text[-1:] == b"Z" or text[-6:-5] in (b"+", b"-"))
    )


def _whole_characters(text: bytes) -> bytes:
    """Without a UTF-8 character that was cut in two at the end."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return text if length <= back else text[:-back]
        if byte < 0x80:
            break
    return text
