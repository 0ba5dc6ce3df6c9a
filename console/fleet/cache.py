"""The last known picture of a fleet, kept on disk so that a start shows something at once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.durable import appearing
from agent.protocol.decoding import from_json
from agent.protocol.live import Sections
from agent.protocol.version import API_VERSION
from console.fleet.live import check_sections
from console.fleet.picture import NodeView

# Raise it when what is kept changes its meaning; files of another version are not read.
FORMAT = 1


class CachedNode(msgspec.Struct, kw_only=True):
    """One node. A node whose address has changed may be another machine: it is not believed."""

    address: str
    seen_at: float
    sections: Sections


class CachedFleet(msgspec.Struct, kw_only=True):
    """The file."""

    version: str
    nodes: dict[str, CachedNode]


class PictureCache:
    """One file for each fleet.yaml. A file that is broken or of another version is no error."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.note: str | None = None  # why nothing was taken from the file
        self._saved: dict[str, float | None] = {}

    @classmethod
    def of_fleet(cls, fleet_file: Path, environment: Mapping[str, str]) -> PictureCache:
        """The cache of `fleet_file`, below XDG_CACHE_HOME."""
        given = environment.get("XDG_CACHE_HOME")
        folder = (Path(given) if given else Path.home() / ".cache") / "roost"
        name = hashlib.sha256(os.fsencode(fleet_file.absolute())).hexdigest()[:16]
        return cls(folder / f"picture-{name}.json")

    def fill(self, views: Mapping[str, NodeView]) -> None:
        """Put what was kept into views that know nothing yet."""
        for name, node in self._load().items():
            view = views.get(name)
            if view is not None and view.entry.address == node.address:
                view.sections = node.sections
                view.seen_at = node.seen_at
                view.cached = True

    async def save(self, views: Mapping[str, NodeView]) -> None:
        """Keep the picture, if it has changed since. A disk that is full is no error here."""
        known = {
            name: view for name, view in views.items() if view.seen_at is not None and view.sections
        }
        seen = {name: view.seen_at for name, view in known.items()}
        if seen == self._saved:
            return
        content = msgspec.json.encode(
            CachedFleet(
                version=_version(),
                nodes={
                    name: CachedNode(
                        address=view.entry.address,
                        seen_at=view.seen_at or 0.0,
                        sections=view.sections,
                    )
                    for name, view in known.items()
                },
            )
        )
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_write, self.file, content)
            self._saved = seen

    def _load(self) -> dict[str, CachedNode]:
        try:
            cached = from_json(self.file.read_bytes(), CachedFleet)
            if cached.version != _version():
                self.note = f"{self.file} is of another version ({cached.version})"
                return {}
            for node in cached.nodes.values():
                check_sections(node.sections)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.note = f"{self.file} cannot be used ({error})"
            return {}
        return cached.nodes


def _version() -> str:
    return f"{FORMAT}/{API_VERSION}"


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all. Not synced: it is only a cache."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with appearing(file) as opened:
        opened.write(content)
