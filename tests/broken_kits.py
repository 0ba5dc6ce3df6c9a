"""Kits whose agent cannot be kept, each broken in its own way; made of a real kit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kits_made import other_version

Changes = Mapping[str, Callable[[bytes], bytes]]
MAIN = "agent/cli/main.py"
DATABASE = "agent/store/database.py"


def newer_schema(source: bytes) -> bytes:
    """The database of a version to come, with one table more."""
    for was, new in (
        (b"SCHEMA_VERSION = 3", b"SCHEMA_VERSION = 4"),
        (b'_SCHEMA = """\n', b'_SCHEMA = """\nCREATE TABLE to_come (id INTEGER PRIMARY KEY);\n'),
    ):
        assert was in source
        source = source.replace(was, new, 1)
    return source


def unreadable_database(source: bytes) -> bytes:
    """A version that knows less than what is there."""
    assert b"SCHEMA_VERSION = 3" in source
    return source.replace(b"SCHEMA_VERSION = 3", b"SCHEMA_VERSION = 2", 1)


def after_imports(line: bytes) -> Callable[[bytes], bytes]:
    """That line is run when the module is loaded."""

    def change(source: bytes) -> bytes:
        mark = b"\nimport click\n"
        assert mark in source
        return source.replace(mark, mark + line + b"\n", 1)

    return change


def once_the_database_is_open(line: bytes) -> Callable[[bytes], bytes]:
    """That line is run then."""

    def change(source: bytes) -> bytes:
        mark = b"    node = this_machine("
        assert mark in source
        return source.replace(mark, b"    " + line + b"\n" + mark, 1)

    return change


AGENTS: Mapping[str, Changes] = {
    "crashes at import": {MAIN: after_imports(b"import there_is_no_such_module")},
    "hangs": {MAIN: after_imports(b"__import__('time').sleep(1000)")},
    "cannot read the database": {DATABASE: unreadable_database},
    "changes the schema and hangs": {
        DATABASE: newer_schema,
        "agent/cli/serve.py": once_the_database_is_open(b"__import__('time').sleep(1000)"),
    },
}


def broken_kit(kit: Path, folder: Path, how: str, version: str) -> Path:
    """One whose agent does that; `how` is a key of AGENTS."""
    return other_version(kit, folder, version, AGENTS[how])
