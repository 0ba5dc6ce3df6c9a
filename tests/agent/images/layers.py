"""Layers for tests: bytes, what they hash to, and how they are announced."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator

import zstandard

from agent.images.upload_record import UploadRecord, new_record


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, always the same ones."""
    return random.Random(seed).randbytes(size)


def diff_id(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def compressed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


def plain_record(data: bytes) -> UploadRecord:
    return new_record({"diff_id": diff_id(data)}, length=len(data), header="")


def zstd_record(data: bytes, length: int | None = None, encoder: str = "zstd-a") -> UploadRecord:
    said = {"diff_id": diff_id(data), "size": str(len(data)), "encoder": encoder}
    return new_record(said, length=length, header="")


async def pieces(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
