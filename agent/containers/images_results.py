"""What comes of work on images."""

from __future__ import annotations

import msgspec


class LoadedImages(msgspec.Struct, kw_only=True):
    """What the runtime said it loaded: tags in their short form, ids of images without a tag."""

    names: list[str] = []
    ids: list[str] = []


class ImageRemoval(msgspec.Struct, kw_only=True):
    """What went: tags in their short form, ids of images and, on Docker, chain IDs of layers."""

    untagged: list[str] = []
    deleted: list[str] = []


class ImageUsage(msgspec.Struct, kw_only=True):
    """Disk that images take. None, and no entry: not told, `reason` says why."""

    total_bytes: int | None = None
    # By id: what removing this image alone would free.
    alone_bytes: dict[str, int] = {}
    reason: str | None = None
