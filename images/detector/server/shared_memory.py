"""Tensors in files of /dev/shm that a client shares with this server: V2's system shared memory.

They are read and written with calls and never mapped: who cuts off a file that is mapped here would
end this process with SIGBUS. With calls that is a tensor that is too short, and told.
"""

from __future__ import annotations

import asyncio
import os
import stat
import weakref
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from .memory import aligned
from .problems import RequestError, bad

FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is, by its name
EXTENSION = "system_shared_memory"
_LARGEST = 2**62
# Less is copied sooner than a thread is told of it.
_QUICK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: `offset` is within the region."""

    region: str
    offset: int
    size: int


class _File:
    """Closed behind its last user, whichever thread that is in."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        self.descriptor, self.writable = descriptor, writable
        weakref.finalize(self, os.close, descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size


@dataclass(frozen=True)
class Target:
    """Where an output goes, whatever becomes of its region's name meanwhile."""

    file: _File
    start: int
    size: int


@dataclass(frozen=True)
class _Region:
    key: str
    offset: int
    size: int
    file: _File


class Regions:
    """What clients have registered, at most `most`; 0: nobody may.

    Args:
        tensor_limit_bytes: of one tensor.
    """

    def __init__(self, most: int, *, tensor_limit_bytes: int, folder: Path = FOLDER) -> None:
        self._most, self._limit, self._folder = most, tensor_limit_bytes, folder
        self._regions: dict[str, _Region] = {}

    @property
    def allowed(self) -> bool:
        return self._most > 0

    def register(self, name: str, asked: Any) -> None:
        """Raises RequestError: 400, it is not what lies there; 403; 409; 503, there are enough."""
        self._check_allowed()
        key, offset, size = _asked(asked)
        if name in self._regions:
            raise RequestError(
                HTTPStatus.CONFLICT,
                "shared_memory.registered",
                f"the region {name[:80]!r} is registered already",
                "Unregister it first, or take another name.",
            )
        if len(self._regions) >= self._most:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "shared_memory.too_many",
                f"{self._most} regions are registered already",
                "Unregister what is not used, or set DETECTOR_SHARED_MEMORY_REGIONS.",
            )
        file = self._opened(key)
        if offset + size > file.size:
            raise bad(
                "shared_memory.size",
                f"{key[:80]!r} has {file.size} bytes, the region ends at {offset + size}",
                "Make the file as long before it is registered.",
            )
        self._regions[name] = _Region(key, offset, size, file)

    def unregister(self, name: str | None) -> None:
        """One, or all of them; what is not there need not go. Raises RequestError: 403.

        Requests that were begun with one end with it.
        """
        self._check_allowed()
        if name is None:
            self._regions.clear()
        else:
            self._regions.pop(name, None)

    def status(self, name: str | None) -> list[dict[str, object]]:
        """As V2 has it. Raises RequestError: 400, there is no such region; 403."""
        self._check_allowed()
        names = list(self._regions) if name is None else [name]
        return [
            {"name": each, "key": known.key, "offset": known.offset, "byte_size": known.size}
            for each, known in ((each, self._known(each)) for each in names)
        ]

    async def read(self, place: Place, *, at_once: bool = False) -> memoryview:
        """A copy, where a processor likes to load from.

        Args:
            at_once: not in a thread, for nobody waits meanwhile.

        Raises:
            RequestError: 400, 403, 413
        """
        file, start = self._at(place)
        if place.size > self._limit:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "request.too_large",
                f"the tensor is longer than {self._limit} bytes",
                "Send fewer or smaller images at a time, or set DETECTOR_BODY_LIMIT_BYTES.",
            )
        if at_once or place.size <= _QUICK_BYTES:
            return _read(file, start, place.size)
        return await asyncio.to_thread(_read, file, start, place.size)

    def target(self, place: Place) -> Target:
        """Before anything is computed. Raises RequestError: 400, 403."""
        file, start = self._at(place)
        if not file.writable:
            raise bad(
                "shared_memory.read_only",
                f"the file of the region {place.region[:80]!r} may be read by this server only",
                "Run the client as the server's user, or chmod 666 what it has made.",
            )
        return Target(file, start, place.size)

    async def write(self, target: Target, data: memoryview, *, at_once: bool = False) -> None:
        """`at_once` as in `read`. Raises RequestError: 400, it does not fit, or is not written."""
        if data.nbytes > target.size:
            raise bad(
                "output.size",
                f"the output has {data.nbytes} bytes, there is room for {target.size}",
                "Make the region larger.",
            )
        if at_once or data.nbytes <= _QUICK_BYTES:
            _write(target.file, target.start, data)
        else:
            await asyncio.to_thread(_write, target.file, target.start, data)

    def _at(self, place: Place) -> tuple[_File, int]:
        self._check_allowed()
        region = self._known(place.region)
        if place.offset + place.size > region.size:
            raise bad(
                "shared_memory.size",
                f"the region {place.region[:80]!r} has {region.size} bytes, the tensor ends at"
                f" {place.offset + place.size}",
                "Are shared_memory_offset and shared_memory_byte_size right?",
            )
        return region.file, region.offset + place.offset

    def _known(self, name: str) -> _Region:
        region = self._regions.get(name)
        if region is None:
            raise bad(
                "shared_memory.unknown",
                f"there is no region {name[:80]!r}",
                "Register it: a server that was started anew knows none.",
            )
        return region

    def _opened(self, key: str) -> _File:
        """A file of that very folder: no link, no device, nothing below another folder."""
        name = key.removeprefix("/")
        is_name = key.isprintable() and "/" not in name and name not in ("", ".", "..")
        if not is_name:
            raise bad(
                "shared_memory.key",
                f"{key[:80]!r} is no name of shared memory",
                "It is a file's name in /dev/shm, with a / before it or without.",
            )
        path, flags = self._folder / name, os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            try:
                file = _File(os.open(path, os.O_RDWR | flags), writable=True)
            except PermissionError:
                file = _File(os.open(path, os.O_RDONLY | flags), writable=False)
        except OSError as error:
            raise bad(
                "shared_memory.key",
                f"{key[:80]!r} cannot be opened: {error.strerror}",
                f"This server runs as user {os.geteuid()}: is /dev/shm the client's, and is the"
                " file that user's, or readable for all?",
            ) from None
        if not stat.S_ISREG(os.fstat(file.descriptor).st_mode):
            raise bad("shared_memory.key", f"{key[:80]!r} is no shared memory", "Is it a file?")
        return file

    def _check_allowed(self) -> None:
        if not self.allowed:
            raise RequestError(
                HTTPStatus.FORBIDDEN,
                "shared_memory.off",
                "shared memory is off in this server",
                "DETECTOR_SHARED_MEMORY_REGIONS says how many regions may be registered.",
            )


def place(parameters: Any) -> Place | None:
    """Where the parameters of a tensor say that it lies; None: in the body.

    Raises:
        RequestError: 400
    """
    if not isinstance(parameters, dict) or "shared_memory_region" not in parameters:
        return None
    region = parameters["shared_memory_region"]
    offset = _size(parameters.get("shared_memory_offset", 0), 0)
    size = _size(parameters.get("shared_memory_byte_size"), 1)
    if not isinstance(region, str) or offset is None or size is None:
        raise bad(
            "shared_memory.place",
            "the place in shared memory is none",
            "shared_memory_region is a name, _byte_size and _offset are numbers.",
        )
    return Place(region, offset, size)


def _asked(asked: Any) -> tuple[str, int, int]:
    said = asked if isinstance(asked, dict) else {}
    key = said.get("key")
    offset, size = _size(said.get("offset", 0), 0), _size(said.get("byte_size"), 1)
    if not isinstance(key, str) or offset is None or size is None:
        raise bad(
            "shared_memory.region",
            "that says no region",
            'Send {"key": "/name", "offset": 0, "byte_size": 4915200}.',
        )
    return key, offset, size


def _size(value: Any, least: int) -> int | None:
    """None: it is none."""
    is_one = isinstance(value, int) and not isinstance(value, bool) and least <= value < _LARGEST
    return value if is_one else None


def _read(file: _File, start: int, size: int) -> memoryview:
    room = aligned(size)
    rest = room
    while rest:
        try:
            count = os.preadv(file.descriptor, [rest], start + size - len(rest))
        except OSError as error:
            raise _failed("read", error) from None
        if not count:
            raise _cut_off(file)
        rest = rest[count:]
    return room


def _write(file: _File, start: int, data: memoryview) -> None:
    # What is written past its end would make the file longer.
    if file.size < start + data.nbytes:
        raise _cut_off(file)
    rest = data
    while rest:
        try:
            rest = rest[os.pwrite(file.descriptor, rest, start + data.nbytes - len(rest)) :]
        except OSError as error:
            raise _failed("written", error) from None


def _cut_off(file: _File) -> RequestError:
    return bad(
        "shared_memory.size",
        f"the file has {file.size} bytes by now, and the tensor ends behind them",
        "Was it made shorter? Register it anew.",
    )


def _failed(what: str, error: OSError) -> RequestError:
    return bad(
        "shared_memory.failed",
        f"the shared memory cannot be {what}: {error.strerror}",
        "Has /dev/shm room?",
    )
