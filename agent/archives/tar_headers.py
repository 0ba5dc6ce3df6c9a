"""The members of a tar file, read forwards: ustar, GNU long names, pax.

The standard library's reader holds long names and pax headers of any size in memory, takes a
damaged header for the end, and follows what a container archive never needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from agent.archives.decompressors import CutOffError
from agent.archives.faults import FaultError
from agent.archives.sources import Source

BLOCK_BYTES = 512
EXTRA_LIMIT_BYTES = 1024 * 1024  # a pax header or a long name
SIZE_LIMIT_BYTES = 1 << 50

Kind = Literal["file", "folder", "symlink", "link", "other"]

KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "symlink",
    b"5": "folder",
}
REFUSED = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}
LAYER_KINDS: dict[bytes, Kind] = {**KINDS, b"3": "other", b"4": "other", b"6": "other"}
PAX_KEYS = ("path", "linkpath", "size")


class Member(NamedTuple):
    """One entry. `offset` is where its content begins in the tar; links have a `target`."""

    name: str
    kind: Kind
    target: str
    size_bytes: int
    offset: int


def read_members(source: Source, *, of_layer: bool = False) -> Iterator[Member]:
    """All members in order. What the caller leaves of a member's content is skipped.

    Args:
        of_layer: a root file system has devices and pipes, which no archive needs: kind "other".

    Raises:
        FaultError: `archive.unknown`, `archive.damaged`, `archive.member_kind`.
        CutOffError: the tar ends within a member.
    """
    start = source.position
    extra: dict[str, str] = {}
    while header := _block(source):
        if not header.strip(b"\0"):
            return
        if _checksum_wrong(header):
            if source.position - start == BLOCK_BYTES:
                raise FaultError("archive.unknown", "it is not a tar file, nor a compressed one")
            at = source.position - BLOCK_BYTES
            raise FaultError("archive.damaged", f"the tar header at byte {at} is not valid")
        kind, size = header[156:157], _number(header[124:136])
        if kind in (b"x", b"g", b"L", b"K"):
            _read_extra(source, kind, size, extra)
            continue
        kinds = LAYER_KINDS if of_layer else KINDS
        member = _member(header, extra, source.position, kinds)
        extra = {}
        end = member.offset + member.size_bytes + _padding(member.size_bytes)
        yield member
        source.skip(end - source.position)


def _block(source: Source) -> bytes:
    block = source.read(BLOCK_BYTES)
    if block and len(block) < BLOCK_BYTES:
        raise CutOffError("the file ends within a tar header")
    return block


def _checksum_wrong(header: bytes) -> bool:
    try:
        said = int(header[148:156].strip(b" \0") or b"-", 8)
    except ValueError:
        return True
    rest = header[:148] + b" " * 8 + header[156:]
    plain = sum(rest)
    # Some old programs summed signed bytes.
    return said != plain and said != plain - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int:
    """Octal digits, or base 256 when the first bit is set."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
    else:
        try:
            number = int(field.strip(b" \0") or b"0", 8)
        except ValueError:
            number = -1
    if not 0 <= number < SIZE_LIMIT_BYTES:
        raise FaultError("archive.damaged", "a tar header has a size that is not valid")
    return number


def _padding(size: int) -> int:
    return -size % BLOCK_BYTES


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _read_extra(source: Source, kind: bytes, size: int, extra: dict[str, str]) -> None:
    """A pax header or a long name, for the member that follows."""
    if size > EXTRA_LIMIT_BYTES:
        raise FaultError("archive.too_large", f"a tar header takes {size} bytes")
    data = source.read(size)
    if len(data) < size:
        raise CutOffError("the file ends within a tar header")
    source.skip(_padding(size))
    if kind in (b"L", b"K"):
        extra["path" if kind == b"L" else "linkpath"] = _text(data)
        return
    found = _pax(data)
    if kind == b"g":
        if any(key in found for key in PAX_KEYS):
            raise FaultError(
                "archive.damaged", "a global pax header gives all members one name or size"
            )
    else:
        extra.update(found)


def _pax(data: bytes) -> dict[str, str]:
    """Records of `LENGTH KEY=VALUE\\n`; only the keys that matter here."""
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or len(length) > 7 or not len(length) + 1 < int(length):
            raise FaultError("archive.damaged", "a pax header is not valid")
        record, data = data[: int(length)], data[int(length) :]
        key, equals, value = record[len(length) + 1 :].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise FaultError("archive.damaged", "a pax header is not valid")
        name = key.decode("utf-8", "backslashreplace")
        if name.startswith("GNU.sparse."):
            raise FaultError("archive.member_kind", "it has a sparse file")
        if name in PAX_KEYS:
            found[name] = value[:-1].decode("utf-8", "backslashreplace")
    return found


def _member(
    header: bytes, extra: dict[str, str], offset: int, kinds: Mapping[bytes, Kind]
) -> Member:
    name = extra.get("path") or _text(header[:100])
    # GNU has other things where POSIX has the prefix.
    if "path" not in extra and header[257:263] == b"ustar\0" and header[345] != 0:
        name = f"{_text(header[345:500])}/{name}"
    flag = header[156:157]
    if flag not in kinds:
        what = REFUSED.get(flag, f"an entry of the unknown type {flag!r}")
        raise FaultError("archive.member_kind", f"it is {what}", member=name)
    kind = kinds[flag]
    if kind == "file" and name.endswith("/"):
        kind = "folder"
    size = _number(header[124:136])
    if "size" in extra:
        digits = extra["size"]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            raise FaultError(
                "archive.damaged", "a pax header has a size that is not valid", member=name
            )
        size = int(digits)
    target = extra.get("linkpath") or _text(header[157:257])
    # Only files have content; some programs put the linked file's size into a link's header.
    return Member(name, kind, target, size if kind == "file" else 0, offset)
