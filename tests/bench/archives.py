"""Image archives of a given size, half of which compresses, made layer by layer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from random import Random

PIECE_BYTES = 1 << 20
FILE_BYTES = 8 * PIECE_BYTES
HALF_BYTES = 32 * 1024


def write_layer(path: Path, size: int, seed: str) -> str:
    """A layer of about `size` bytes: every other 32 KiB random, the rest text; its diff_id."""
    chance = Random(seed)
    text = (b"the same words again, " * 2000)[:HALF_BYTES]
    with path.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w") as made:
            for number, begin in enumerate(range(0, size, FILE_BYTES)):
                member = tarfile.TarInfo(f"srv/{seed}-{number}")
                member.size = min(FILE_BYTES, size - begin)
                content = b"".join(
                    chance.randbytes(HALF_BYTES) + text for _ in range(FILE_BYTES // len(text) // 2)
                )
                made.addfile(member, io.BytesIO(content[: member.size]))
        file.flush()
        os.fsync(file.fileno())
    return _diff_id(path)


def write_noise(path: Path, size: int) -> str:
    """A layer with one file that does not compress; its diff_id."""
    with tarfile.open(path, "w") as made:
        member = tarfile.TarInfo("srv/noise")
        member.size = size
        made.addfile(member, io.BytesIO(os.urandom(size)))
    return _diff_id(path)


def write_archive(path: Path, layers: list[tuple[Path, str]], tag: str) -> None:
    """A docker-archive of these layers (file, diff_id), as `docker save` writes it."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{diff_id.removeprefix('sha256:')}/layer.tar" for _, diff_id in layers]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": names}]).encode()
    with tarfile.open(path, "w") as made:
        for file, member in zip((file for file, _ in layers), names, strict=True):
            made.add(file, member)
        for member, content in ((name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))


def _diff_id(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"
