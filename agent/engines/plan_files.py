"""Plans as files: how they begin, and how they are taken out of a folder that others wrote to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from agent.protocol.problems import ProblemError

# As worker.py has them: how plans begin; byte 24 on is the version that built them.
MAGIC: dict[bytes, Literal["tensorrt", "tensorrt_rtx"]] = {
    b"ftrt": "tensorrt",
    b"vtrt": "tensorrt_rtx",
}
HEADER_BYTES = 28
PIECE_BYTES = 1024 * 1024
# Ultralytics puts JSON with the names of all classes before a plan, and its length before that.
METADATA_LIMIT_BYTES = 1024 * 1024
VALUE_LIMIT = 4096
OUTPUTS_LIMIT_BYTES = 64 * 1024 * 1024
OUTPUTS_LIMIT = 256


class PlanHeader(msgspec.Struct, frozen=True):
    """`begins_at`: what is before it is no part of the plan; `metadata` is what stood there."""

    flavour: Literal["tensorrt", "tensorrt_rtx"]
    version: list[int]
    begins_at: int = 0
    metadata: dict[str, str] = {}

    @property
    def tensorrt(self) -> str:
        """As `tensorrt.__version__` writes it."""
        return ".".join(map(str, self.version))


def read_header(file: BinaryIO, name: str) -> PlanHeader:
    """Blocks. Raises OSError, and ProblemError `engine.plan`: it is no plan."""
    file.seek(0)
    begin = file.read(HEADER_BYTES)
    if found := _header(begin):
        return found
    if len(begin) == HEADER_BYTES:
        (length,) = struct.unpack_from("<i", begin)
        if 0 < length <= METADATA_LIMIT_BYTES and begin[4:5] == b"{":
            file.seek(4)
            metadata = _metadata(file.read(length))
            found = _header(file.read(HEADER_BYTES))
            if metadata is not None and found:
                return msgspec.structs.replace(found, begins_at=4 + length, metadata=metadata)
    raise ProblemError(
        "engine.plan",
        f"{name} does not begin as plans of TensorRT do",
        params={"file": name},
        hint="Only plans can be imported: not ONNX, not what trtexec calls a timing cache.",
    )


def copy_plan(source: Path, target: Path) -> PlanHeader:
    """Blocks. The plan alone, without what stands before it; on disk when this returns.

    Raises:
        OSError: of either file, by its `filename`.
        ProblemError: `engine.plan`.
    """
    with regular(source) as file:
        header = read_header(file, str(source))
        file.seek(header.begins_at)
        with target.open("xb") as out:
            target.chmod(0o644)
            while piece := file.read(PIECE_BYTES):
                try:
                    out.write(piece)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(target)) from None
            out.flush()
            os.fsync(out.fileno())
    return header


def take_plan(source: Path, target: Path) -> tuple[PlanHeader, str, int]:
    """Move a plan that a worker wrote to its place; its header, digest and size.

    Blocks. The worker came out of somebody else's image: what it left may be anything.

    Raises:
        OSError, and ProblemError `engine.plan`.
    """
    with regular(source) as file:
        header = read_header(file, source.name)
        digest, size = _digest(file)
        os.fchmod(file.fileno(), 0o644)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), 0, 0)
    source.rename(target)
    return header, digest, size


def digest_of(path: Path) -> tuple[str, int]:
    """SHA-256 in hex, and bytes. Blocks; raises OSError."""
    with path.open("rb") as file:
        return _digest(file)


def take_outputs(source: Path, target: Path) -> None:
    """Copy what the worker kept of an engine's outputs, unless it is much. Blocks.

    Raises:
        OSError.
    """
    kept = [each for each in source.iterdir() if stat.S_ISREG(each.lstat().st_mode)]
    size = sum(each.lstat().st_size for each in kept)
    if not kept or len(kept) > OUTPUTS_LIMIT or size > OUTPUTS_LIMIT_BYTES:
        return
    target.mkdir()
    target.chmod(0o755)
    for each in kept:
        with regular(each) as file, (target / each.name).open("xb") as out:
            (target / each.name).chmod(0o644)
            while piece := file.read(PIECE_BYTES):
                out.write(piece)


def clear(place: Path, *, but: Collection[str]) -> None:
    """Remove all else from a folder. Blocks; raises OSError."""
    for each in place.iterdir():
        if each.name in but:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def regular(path: Path) -> BinaryIO:
    """Neither a link nor a pipe, which would lead or keep us elsewhere.

    Blocks. Raises OSError; ProblemError `engine.plan`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise ProblemError(
            "engine.plan",
            f"{path.name} is no file",
            params={"file": str(path)},
            hint="Name a plan itself: no folder, no link.",
        )
    return file


def _digest(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _header(begin: bytes) -> PlanHeader | None:
    flavour = MAGIC.get(begin[:4])
    if flavour is None or len(begin) < HEADER_BYTES:
        return None
    return PlanHeader(flavour, list(begin[24:28]))


def _metadata(text: bytes) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {
        str(name)[:VALUE_LIMIT]: (value if isinstance(value, str) else json.dumps(value))[
            :VALUE_LIMIT
        ]
        for name, value in found.items()
    }
