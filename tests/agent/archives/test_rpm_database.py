"""What rpm wrote is read as rpm reads it; what is no database of this kind is named."""

from __future__ import annotations

import io
import sqlite3
import struct
import tempfile
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives import rpm_database, rpm_header
from agent.archives.faults import FaultError
from agent.archives.package_files import PackageFile, reader_of
from agent.archives.package_lists import package_list
from agent.archives.rpm_database import OPEN_JOURNAL, read_rpmdb
from agent.archives.rpm_header import BadHeaderError, read_header
from agent.archives.sources import FileSource
from agent.protocol.packages import PackageList
from tests.rpm_made import EGG, Made, rpmdb, told_by_rpm

RPMDB = "var/lib/rpm/rpmdb.sqlite"
MADE = [
    Made("openssl", "3.0.7", "27.el9", epoch=1),
    Made("python3-urllib3", "1.26.5", "5.el9", files=(EGG.format(name="urllib3"),)),
    Made("tzdata", "2024a", "1.el9"),
]


def source(data: bytes) -> FileSource:
    return FileSource(io.BytesIO(data), len(data))


def read(files: dict[str, bytes]) -> PackageList:
    found = {}
    for path, data in files.items():
        reader = reader_of(path)
        assert reader is not None, path
        found[path] = file = PackageFile()
        reader(file, source(data))
    return package_list(found)


@pytest.mark.real("rpm")
def test_as_rpm_itself_says(tmp_path: Path) -> None:
    where = rpmdb(tmp_path, MADE)
    database = (where / "rpmdb.sqlite").read_bytes()
    told = told_by_rpm(where)
    assert len(told) == 2 * len(MADE)
    found = read({RPMDB: database, "etc/os-release": b'ID="rhel"\nVERSION_ID="9.4"\n'})
    assert found.unknown == []
    shown = [
        f"{each.name} {each.version} {each.architecture}"
        f" {each.source}-{each.source_version.rpartition(':')[2]}.src.rpm"
        for each in found.packages
    ]
    assert sorted(shown) == told
    (openssl,) = [each for each in found.packages if each.name == "openssl-libs"]
    assert (openssl.version, openssl.source) == ("1:3.0.7-27.el9", "openssl")
    assert openssl.source_version == "1:3.0.7-27.el9"
    # What Python says of the same file is known to be rpm's.
    egg = EGG.format(name="urllib3").lstrip("/")
    both = read({RPMDB: database, egg: b"Name: urllib3\nVersion: 1.26.5\n"})
    (urllib3,) = [each for each in both.packages if each.kind == "pypi"]
    assert urllib3.part_of == "rpm python3-urllib3"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("var/lib/rpm/Packages", "Berkeley DB (RHEL 8 and older), which is not read"),
        ("usr/lib/sysimage/rpm/Packages.db", "format ndb (SUSE), which is not read"),
        ("var/lib/pacman/local/ALPM_DB_VERSION", "packages of pacman are not read"),
        ("opt/conda/conda-meta/history", "packages of conda other than Python's are not read"),
    ],
)
def test_what_is_not_read_is_named(path: str, words: str) -> None:
    found = read({path: b"x"})
    assert found.packages == []
    assert words in found.unknown[0]


def test_a_journal_that_rpm_left() -> None:
    assert OPEN_JOURNAL in read({f"{RPMDB}-wal": b"x"}).unknown[0]
    assert not any(OPEN_JOURNAL in each for each in read({f"{RPMDB}-wal": b""}).unknown)


def header(*tags: tuple[int, int, int, bytes]) -> bytes:
    """(tag, type, count, data) of each."""
    entries, data = b"", b""
    for tag, kind, count, value in tags:
        entries += struct.pack(">IIII", tag, kind, len(data), count)
        data += value
    return struct.pack(">II", len(tags), len(data)) + entries + data


NAMED = (
    (1000, 6, 1, b"a\0"),
    (1001, 6, 1, b"1\0"),
    (1002, 6, 1, b"2\0"),
)


def test_headers_that_lie() -> None:
    assert read_header(header(*NAMED)).package.version == "1-2"
    bad = [
        b"",
        header(*NAMED)[:-1],
        struct.pack(">II", 0, 0),
        header(*NAMED, (1003, 4, 2, b"\0\0\0\1")),
        header(*NAMED, (1118, 8, 1, b"no end")),
        header(*NAMED, (1117, 8, 1, b"x\0"), (1116, 4, 1, b"\0\0\0\7")),
        header(*NAMED, (1022, 7, 1, b"x\0")),
    ]
    for blob in bad:
        with pytest.raises(BadHeaderError):
            read_header(blob)


def test_a_database_that_is_none(tmp_path: Path) -> None:
    assert "cannot be read" in read({RPMDB: b"nothing of the kind"}).unknown[0]
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
        database.execute("INSERT INTO Packages VALUES (7, ?)", (header(*NAMED),))
        database.execute("INSERT INTO Packages VALUES (8, 'text')")
        database.commit()
    data = (tmp_path / "db").read_bytes()
    with pytest.raises(FaultError, match="package 8 of rpm's database"):
        list(read_rpmdb(source(data)))
    found = read({RPMDB: data})
    assert [each.name for each in found.packages] == ["a"]
    assert "package 8" in found.unknown[0]


PACKAGES = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)"
ENDLESS = (
    "CREATE VIEW Packages AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    " SELECT x AS hnum, "
)


def database(file: Path, made: str, *blobs: bytes) -> bytes:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(made)
        for blob in blobs:
            connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
        connection.commit()
    return file.read_bytes()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "made",
    [
        ENDLESS + "x'KEY' AS blob FROM c",
        ENDLESS + "x'00' AS blob FROM c WHERE x < 0",
        "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob AS (zeroblob(500000000)))",
    ],
)
def test_a_database_without_end(tmp_path: Path, made: str) -> None:
    key = header((1000, 6, 1, b"gpg-pubkey\0"), *NAMED[1:]).hex()
    found = read({RPMDB: database(tmp_path / "db", made.replace("KEY'", f"{key}'"))})
    assert found.unknown == [f"/{RPMDB}: rpm's database has what rpm does not make"]


@pytest.mark.timeout(60)
def test_more_keys_and_longer_headers_than_there_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = header((1000, 6, 1, b"gpg-pubkey\0"), *NAMED[1:])
    data = database(tmp_path / "keys", PACKAGES, *[key] * 9)
    assert list(read_rpmdb(source(data))) == []
    monkeypatch.setattr(rpm_database, "ROWS_LIMIT", 8)
    with pytest.raises(FaultError, match="without end"):
        list(read_rpmdb(source(data)))
    monkeypatch.setattr(rpm_database, "HEADER_BYTES", 10)
    with pytest.raises(FaultError, match=r"package 1 of rpm's database: it has [0-9]+ bytes"):
        list(read_rpmdb(source(data)))
    monkeypatch.undo()
    monkeypatch.setattr(rpm_database, "STEPS_LIMIT", 20)
    with pytest.raises(FaultError, match="interrupted"):
        list(read_rpmdb(source(data)))


def test_a_folder_with_a_long_name_and_many_files_fills_no_memory() -> None:
    count, long = 100_000, b"/" + bytes(200_000).replace(b"\0", b"d") + b"/\0"
    egg = EGG.format(name="urllib3").encode()
    blob = header(
        *NAMED,
        (1118, 8, 2, long + b"/\0"),
        (1117, 8, count + 1, b"x\0" * count + egg + b"\0"),
        (1116, 4, count + 1, bytes(4 * count) + struct.pack(">I", 1)),
    )
    tracemalloc.start()
    try:
        files = list(read_header(blob).files)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert files == [egg.decode().lstrip("/")]
    assert peak < 50_000_000  # 20 GB, were they made
    many = rpm_header.FILES_LIMIT + 1
    with pytest.raises(BadHeaderError, match="files"):
        read_header(header(*NAMED, (1117, 8, many, bytes(many))))


def test_the_copy_has_no_name_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    data = database(tmp_path / "db", PACKAGES, header(*NAMED))
    for header_read in read_rpmdb(source(data)):
        assert header_read.package.name == "a"
        assert list((tmp_path / "copies").iterdir()) == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_whatever_a_header_says(noise: bytes, at: int) -> None:
    blob = bytearray(header(*NAMED))
    blob[at : at + len(noise)] = noise
    with suppress(BadHeaderError):
        read_header(bytes(blob))
