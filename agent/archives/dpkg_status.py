"""What dpkg has installed, and which of it tells versions of NVIDIA's libraries."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from agent.archives.faults import FaultError
from agent.archives.sources import Source

STATUS = "var/lib/dpkg/status"
STATUS_FOLDER = "var/lib/dpkg/status.d/"  # one file for each package: distroless images
# A desktop with 3,000 packages has 4 MB.
LIMIT_BYTES = 16 * 1024 * 1024
LINE_LIMIT_BYTES = 64 * 1024
PACKAGES_LIMIT = 200
READ_BYTES = 64 * 1024
# The states of dpkg(1) in which nothing of a package is left but its configuration.
ABSENT = (["not-installed"], ["config-files"])
PACKAGE = re.compile(
    r"libnvinfer\d+|tensorrt|cuda-(?:cudart|compat)-\d+-\d+|nvidia-l4t-(?:core|cuda)"
)
VERSION = re.compile(r"(?:\d+:)?([0-9][A-Za-z0-9.+~-]{0,99})")


def is_status(path: str) -> bool:
    """Whether a file of this name is one of dpkg's."""
    if path == STATUS:
        return True
    return path.startswith(STATUS_FOLDER) and not path.endswith(".md5sums")


def read_packages(source: Source) -> dict[str, str]:
    """Versions by name of those that are installed. The file is read in pieces, to its end.

    Raises:
        FaultError: `archive.too_large`.
        CutOffError, DamagedError: the source's own.
    """
    found: dict[str, str] = {}
    for fields in stanzas(source, ("Package", "Status", "Version")):
        name = fields.get("Package", "")
        version = VERSION.fullmatch(fields.get("Version", ""))
        room = len(found) < PACKAGES_LIMIT
        if room and version and PACKAGE.fullmatch(name) and is_present(fields):
            found[name] = version[1]
    return found


def is_present(fields: Mapping[str, str]) -> bool:
    """Whether files of it lie there: also of one that is unpacked only, or half configured.

    Where there is a file for each package, none says that it is installed.
    """
    return fields.get("Status", "install ok installed").split()[-1:] not in ABSENT


def stanzas(source: Source, names: Collection[str]) -> Iterator[dict[str, str]]:
    """These fields of each paragraph of `NAME: value`, as dpkg, apk and Python have them.

    Raises:
        FaultError: `archive.too_large`.
        CutOffError, DamagedError: the source's own.
    """
    fields: dict[str, str] = {}
    for line in lines(source):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        name, colon, value = line.partition(":")
        if colon and name in names:
            fields[name] = value.strip()
    if fields:
        yield fields


def lines(source: Source) -> Iterator[str]:
    """Of a text of limited length. Raises as `stanzas`."""
    rest, read = b"", 0
    while data := source.read(READ_BYTES):
        read += len(data)
        if read > LIMIT_BYTES:
            raise FaultError("archive.too_large", f"more than {LIMIT_BYTES} bytes of packages")
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > LINE_LIMIT_BYTES:
            raise FaultError("archive.too_large", "a line without end")
        for line in whole:
            yield line.decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")
