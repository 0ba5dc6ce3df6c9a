"""Looks into an archive that streams by: manifest.json and configs are kept, layers counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.containers.images_problems import load_failed
from agent.protocol.images import CONFIG_LIMIT_BYTES, NodeImage
from agent.rules.chains import chain_ids
from agent.rules.references import familiar

_BLOCK = 512
_FILES = (b"0", b"\0")


class SimulatedArchive:
    """A docker-archive, as a plain tar with names of at most 255 characters."""

    def __init__(self, size_bytes: int | None) -> None:
        self._said = size_bytes
        self._seen = 0
        self._header = bytearray()
        self._left = self._padding = 0  # of the entry
        self._name = ""
        self._kept: bytearray | None = None
        self._sizes: dict[str, int] = {}
        self._documents: dict[str, bytes] = {}
        self.configs: dict[str, bytes] = {}  # of the images that were given, by id

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._seen += len(data)
        at = 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                if self._kept is not None:
                    self._kept += part
                if not self._left:
                    self._ended()
            elif self._padding:
                skipped = min(self._padding, len(data) - at)
                at += skipped
                self._padding -= skipped
            else:
                part = data[at : at + _BLOCK - len(self._header)]
                at += len(part)
                self._header += part
                if len(self._header) == _BLOCK:
                    self._open(bytes(self._header))
                    self._header.clear()

    def images(self, known: set[str], *, now: float) -> Iterator[NodeImage]:
        """What it holds, at its end.

        Args:
            known: chain IDs of layers whose files may be missing.

        Raises:
            ProblemError: `image.load_failed`.
        """
        if self._left or self._padding or self._said not in (None, self._seen):
            raise load_failed("unexpected EOF (simulated)")
        try:
            manifest: Any = msgspec.json.decode(self._documents["manifest.json"])
            for entry in manifest:
                yield self._image(entry, known, now)
        except (KeyError, TypeError, ValueError) as error:
            raise load_failed(f"not a docker-archive (simulated): {error!r}") from error

    def _image(self, entry: Any, known: set[str], now: float) -> NodeImage:
        content = self._documents[entry["Config"]]
        config = msgspec.json.decode(content)
        diff_ids = [str(one) for one in config["rootfs"]["diff_ids"]]
        if len(diff_ids) != len(entry["Layers"]):
            raise load_failed("invalid manifest, layers length mismatch (simulated)")
        for name, chain in zip(entry["Layers"], chain_ids(diff_ids), strict=True):
            if name not in self._sizes and chain not in known:
                raise load_failed(f"open {name}: no such file or directory (simulated)")
        image_id = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.configs[image_id] = content
        return NodeImage(
            id=image_id,
            config_digest=image_id,
            diff_ids=diff_ids,
            tags=[familiar(tag) for tag in entry.get("RepoTags") or []],
            size_bytes=sum(self._sizes.get(name, 0) for name in entry["Layers"]),
            created_at=now,
            tagged_at=now,
            os=config.get("os", "linux"),
            architecture=config.get("architecture", ""),
            variant=config.get("variant", ""),
        )

    def _open(self, header: bytes) -> None:
        if not any(header):
            return  # the end, or what fills the last block
        prefix, name = _text(header[345:500]), _text(header[:100])
        self._name = f"{prefix}/{name}" if prefix else name
        try:
            self._left = int(_text(header[124:136]).strip() or "0", 8)
        except ValueError:
            raise load_failed("archive/tar: invalid tar header (simulated)") from None
        self._padding = -self._left % _BLOCK
        is_file = header[156:157] in _FILES
        self._kept = bytearray() if is_file and self._left <= CONFIG_LIMIT_BYTES else None
        if is_file:
            self._sizes[self._name] = self._left

    def _ended(self) -> None:
        if self._kept is not None and self._kept.startswith((b"{", b"[")):
            self._documents[self._name] = bytes(self._kept)
        self._kept = None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
