"""What rpm has installed, by its database: SQLite since rpm 4.16 (RHEL 9, Fedora 33).

Berkeley DB (RHEL 8 and older) and rpm's own ndb (SUSE) are recognised, and not read.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
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
_NO_PACKAGE = "gpg-pubkey"  # keys, which rpm keeps as packages


def read_rpmdb(content: Source) -> Iterator[Header]:
    """The packages of a database, in rpm's order. It is copied to a temporary file meanwhile.

    Raises:
        FaultError: `archive.damaged`, `archive.too_large`.
        CutOffError, DamagedError: the source's own.
        OSError: there is no room for the copy.
    """
    with tempfile.NamedTemporaryFile(prefix="roost-rpmdb-") as file:
        _copy(content, file)
        yield from _read(file.name)


def _copy(content: Source, file: IO[bytes]) -> None:
    size = 0
    while data := content.read(READ_BYTES):
        size += len(data)
        if size > LIMIT_BYTES:
            raise FaultError("archive.too_large", f"it has more than {LIMIT_BYTES} bytes")
        file.write(data)
    file.flush()


def _read(name: str) -> Iterator[Header]:
    try:
        # Immutable: it is a copy, and no file is made beside it.
        with closing(sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True)) as database:
            for number, blob in database.execute("SELECT hnum, blob FROM Packages ORDER BY hnum"):
                try:
                    header = read_header(bytes(blob) if isinstance(blob, bytes) else b"")
                except BadHeaderError as error:
                    raise FaultError(
                        "archive.damaged", f"package {number} of rpm's database: {error}"
                    ) from None
                if header.package.name != _NO_PACKAGE:
                    yield header
    except (sqlite3.Error, OverflowError) as error:
        raise FaultError("archive.damaged", f"rpm's database cannot be read: {error}") from None
