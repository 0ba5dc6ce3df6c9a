"""What a scan found, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from agent.protocol.packages import PackageList
from console.cli.output import print_json, say
from console.cli.table import UNKNOWN, Column, Row, print_table
from console.images.osv import OsvAdvisory
from console.images.scanning import Hit, Read, scan, told
from console.images.severity import LEVELS, Level
from console.text import plural

_COLUMNS = (
    Column("IMAGE", keep=8, least=16),
    Column("ADVISORY", least=16),
    Column("SEVERITY"),
    Column("PACKAGE", least=12),
    Column("VERSION", least=12),
    Column("FIXED IN", least=12),
    Column("ALSO", keep=6, least=14),
)


class Scanned(msgspec.Struct, kw_only=True):
    """What is looked through: an image, or a node, with who runs it."""

    name: str
    found: PackageList
    digest: str | None = None
    runs: dict[str, list[str]] = {}  # by node, the containers that run it


class ScanRecord(msgspec.Struct, kw_only=True):
    """An image as `--json` prints it."""

    image: str
    digest: str | None
    runs: dict[str, list[str]]
    packages: int
    advisories: int  # that were read
    newest: str  # when the last of them was changed; "": none says
    hits: list[Hit]
    unknown: list[str]
    failed: bool  # a hit reaches --fail-on, or something could not be compared


def print_scan(
    subjects: Sequence[Scanned],
    advisories: Iterable[OsvAdvisory],
    *,
    fail_on: Level | None,
    as_json: bool,
) -> int:
    """Compare and print; the exit code.

    Raises:
        ProblemError: `advisories.unreadable`.
    """
    read, scans = scan(advisories, [each.found for each in subjects])
    records = [
        ScanRecord(
            image=subject.name,
            digest=subject.digest,
            runs=subject.runs,
            packages=len(subject.found.packages),
            advisories=read.advisories,
            newest=read.newest,
            hits=sorted(made.hits, key=_worst_first),
            unknown=[*subject.found.unknown, *made.unknown],
            failed=False,
        )
        for subject, made in zip(subjects, scans, strict=True)
    ]
    for record in records:
        reached = any(hit.reaches(fail_on) for hit in record.hits)
        record.failed = reached or bool(record.unknown)
    if as_json:
        print_json(records)
    else:
        _print(records, read)
    return int(any(record.failed for record in records))


def _worst_first(hit: Hit) -> tuple[int, str, str, str]:
    # What nobody has rated comes first: it may be the worst.
    worst = -len(LEVELS) if hit.severity is None else -LEVELS.index(hit.severity)
    return (worst, hit.package, hit.version, hit.id)


def _print(records: Sequence[ScanRecord], read: Read) -> None:
    several = len(records) > 1
    rows = [_row(record.image if several else "", hit) for record in records for hit in record.hits]
    if rows:
        print_table(_COLUMNS, rows)
    for record in records:
        _tell(record)
    say(f"compared with {told(read)}")


def _row(image: str, hit: Hit) -> Row:
    also = ", ".join([*hit.aliases, *hit.upstream])
    rated = hit.severity or UNKNOWN
    return (image, hit.id, rated, hit.package, hit.version, hit.fixed or UNKNOWN, also)


def _tell(record: ScanRecord) -> None:
    about = len({name for hit in record.hits for name in hit.installed})
    rated: Counter[str] = Counter(hit.severity or "unrated" for hit in record.hits)
    levels = [level for level in ("unrated", *reversed(LEVELS)) if rated[level]]
    words = ", ".join(f"{rated[level]} {level}" for level in levels)
    say(
        f"{record.image}: {plural(len(record.hits), 'finding')}{f' ({words})' if words else ''}"
        f" about {about} of {plural(record.packages, 'package')}"
    )
    for node, containers in record.runs.items():
        say(f"{record.image}: {node} runs it: {', '.join(containers)}")
    for reason in record.unknown:
        say(f"{record.image}: not compared: {reason}")
