"""A docker-archive for a runtime's load, as a stream: plain tar, the same bytes each time.

Docker from 1.10 on, the containerd store and Podman take this layout. Docker's own store needs
no file for a layer that it has with all below it; the name in the manifest must stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from typing import Protocol

import msgspec

from agent.archives.faults import FaultError
from agent.archives.sources import CHUNK_BYTES
from agent.archives.tar_headers import BLOCK_BYTES
from agent.protocol.digest import Digest
from agent.protocol.images import ImageContent

END = bytes(2 * BLOCK_BYTES)
OCTAL_LIMIT = 8**11


class OpenLayer(Protocol):
    """The uncompressed bytes of a layer; closed when it was read."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes; b"" at the end."""

    def close(self) -> object:
        """Let go of it."""


def archive_size(
    content: ImageContent, *, left_out: AbstractSet[int] = frozenset(), tag: str
) -> int:
    """How many bytes `write_docker_archive` gives for the same arguments."""
    return len(END) + sum(
        BLOCK_BYTES + size + -size % BLOCK_BYTES
        for size in (
            len(content.config),
            len(_manifest(content, tag)),
            *_written(content, left_out).values(),
        )
    )


def write_docker_archive(
    content: ImageContent,
    open_layer: Callable[[str], OpenLayer],
    *,
    left_out: AbstractSet[int] = frozenset(),
    tag: str,
) -> Generator[bytes, None, None]:
    """The archive of one image under this tag, in pieces of at most 1 MiB.

    Args:
        open_layer: gives a layer by its diff_id; asked for each that is written, once, in order.
        left_out: positions (0 is the bottom) whose files the runtime does not need.

    Raises:
        ProblemError: `archive.layer_corrupt` when a layer has not the bytes that were said, and
            what `open_layer` and its readers raise.
    """
    manifest = _manifest(content, tag)
    yield file_header("manifest.json", len(manifest)) + _padded(manifest)
    yield file_header(_config_name(content), len(content.config)) + _padded(content.config)
    for diff_id, size in _written(content, left_out).items():
        yield file_header(_layer_name(diff_id), size)
        with closing(open_layer(diff_id)) as layer:
            yield from _exactly(layer, size, diff_id)
        if size % BLOCK_BYTES:
            yield bytes(-size % BLOCK_BYTES)
    yield END


def _written(content: ImageContent, left_out: AbstractSet[int]) -> dict[Digest, int]:
    """The layers whose files are written, with their sizes; one that comes twice is one file."""
    return {
        layer.diff_id: layer.size_bytes
        for position, layer in enumerate(content.layers)
        if position not in left_out
    }


def _manifest(content: ImageContent, tag: str) -> bytes:
    layers = [_layer_name(layer.diff_id) for layer in content.layers]
    item = {"Config": _config_name(content), "RepoTags": [tag], "Layers": layers}
    return msgspec.json.encode([item])


def _config_name(content: ImageContent) -> str:
    return f"{hashlib.sha256(content.config).hexdigest()}.json"


def _layer_name(diff_id: Digest) -> str:
    return f"{diff_id.removeprefix('sha256:')}/layer.tar"


def _exactly(layer: OpenLayer, size: int, diff_id: Digest) -> Iterator[bytes]:
    left = size
    while left and (data := layer.read(min(left, CHUNK_BYTES))):
        left -= len(data)
        yield data
    # Read to its end: a reader that verifies does so there.
    if left or layer.read(1):
        how = f"{left} bytes short of" if left else "longer than"
        raise FaultError("archive.layer_corrupt", f"it is {how} its {size} bytes").problem(
            f"layer {diff_id}"
        )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK_BYTES)


def file_header(name: str, size: int) -> bytes:
    """A ustar header of a file: mode 0644, owner 0, time 0."""
    header = bytearray(BLOCK_BYTES)
    header[0 : len(name)] = name.encode()
    header[100:108] = b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"
    header[124:136] = _size(size)
    header[136:148] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[156:157] = b"0"
    header[257:265] = b"ustar\0" + b"00"
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def _size(size: int) -> bytes:
    """Octal; from 8 GiB on base 256, which Go's and Python's readers take in any header."""
    if size < OCTAL_LIMIT:
        return f"{size:011o}\0".encode()
    return b"\x80" + size.to_bytes(11, "big")
