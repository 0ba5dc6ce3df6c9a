"""What rpm has installed, by its database: SQLite since rpm 4.16 (RHEL 9, Fedora 33).

Berkeley DB (RHEL 8 and older) and rpm's own ndb (SUSE) are recognised, and not read.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from agent.archives.faults import FaultError
from agent.archives.rpm_header import BadHeaderError, Header, read_header
from agent.archives.sources import READ_BYTES, Source

_FOLDER = r"(?:var/lib/rpm|usr/(?:lib/sysimage|share)/rpm)"
SQLITE = re.compile(rf"{_FOLDER}/rpmdb\.sqlite")
JOURNAL = re.compile(rf"{_FOLDER}/rpmdb\.sqlite-(?:wal|journal)")
NDB = re.compile(rf"{_FOLDER}/Packages\.db")
BERKELEY = re.compile(rf"{_FOLDER}/Packages")
UNREAD = {
    NDB: "rpm's database is in the format ndb (SUSE), which is not read here",
    BERKELEY: "rpm's database is a Berkeley DB (RHEL 8 and older), which is not read here",
}
# What rpm wrote last and SQLite has not put into the database yet.
OPEN_JOURNAL = "rpm was at work: what it wrote last is not in its database yet"
# UBI has 10 MB, a desktop 150.
LIMIT_BYTES = 1024 * 1024 * 1024
# The largest packages' headers have some 3 MB.
HEADER_BYTES = 32 * 1024 * 1024
ROWS_LIMIT = 50_000
# What SQLite does for a row are some ten of its instructions.
STEPS_LIMIT = 10_000_000
_NO_PACKAGE = "gpg-pubkey"  # keys, which rpm keeps as packages
# All that rpm makes. A view, or a column that is worked out, need have no end.
_PLAIN = re.compile(
    r"CREATE (?:TABLE|INDEX|UNIQUE INDEX) (?!.*\bAS\b).*", re.IGNORECASE | re.DOTALL
)


def read_rpmdb(content: Source) -> Iterator[Header]:
    """The packages of a database, of which a temporary file is made meanwhile.

    Raises:
        FaultError: `archive.damaged`, also where there is no room for the copy;
            `archive.too_large`.
        CutOffError, DamagedError: the source's own.
        OSError: no temporary file can be made.
    """
    handle, name = tempfile.mkstemp(prefix="roost-rpmdb-")
    with os.fdopen(handle, "wb") as file:
        try:
            size = _copy(content, file)
            # Immutable: it is a copy, and no file is made beside it.
            database = sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True)
        finally:
            Path(name).unlink()  # SQLite has it open, and who is killed from here on leaves none
        with closing(database):
            yield from _read(database, size)


def _copy(content: Source, file: IO[bytes]) -> int:
    """Its bytes."""
    size = 0
    while data := content.read(READ_BYTES):
        size += len(data)
        if size > LIMIT_BYTES:
            raise FaultError("archive.too_large", f"it has more than {LIMIT_BYTES} bytes")
        try:
            file.write(data)
            file.flush()
        except OSError as error:
            raise FaultError(
                "archive.damaged",
                f"rpm's database cannot be copied to be read: {error.strerror or error}",
            ) from None
    return size


def _read(database: sqlite3.Connection, size: int) -> Iterator[Header]:
    """Its headers have no more bytes together than it has, unless it is made to have no end."""
    database.set_progress_handler(lambda: 1, STEPS_LIMIT)  # 1: no further
    try:
        for (made,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
            if not _PLAIN.fullmatch(str(made)):
                raise FaultError("archive.damaged", "rpm's database has what rpm does not make")
        rows = database.execute(
            "SELECT hnum, length(blob), CASE WHEN length(blob) <= ? THEN blob END FROM Packages",
            (HEADER_BYTES,),
        )
        for count, (number, length, blob) in enumerate(rows):
            if (length or 0) > HEADER_BYTES:
                raise FaultError(
                    "archive.damaged",
                    f"package {number} of rpm's database: it has {length} bytes",
                )
            size -= length or 0
            if count >= ROWS_LIMIT or size < 0:
                raise FaultError("archive.damaged", "rpm's database names packages without end")
            try:
                header = read_header(blob if isinstance(blob, bytes) else b"")
            except BadHeaderError as error:
                raise FaultError(
                    "archive.damaged", f"package {number} of rpm's database: {error}"
                ) from None
            if header.package.name != _NO_PACKAGE:
                yield header
    except (sqlite3.Error, OverflowError) as error:
        raise FaultError("archive.damaged", f"rpm's database cannot be read: {error}") from None
