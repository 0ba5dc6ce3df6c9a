"""The real way of archives to nodes: over the links that the fleet is followed by."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from console.images.push import Push
    from console.link.client import NodeClient

# Each layer that is being compressed takes some 8 MB here.
_LAYERS_AT_ONCE = 16


class LinkCarrier:
    """Imports what it needs when an archive is first chosen: most sessions push nothing."""

    def __init__(self, client: Callable[[str], NodeClient], environment: Mapping[str, str]) -> None:
        self._client = client
        base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._cache_folder = Path(base) / "roost" / "archives"

    def read(self, path: Path, heard: Callable[[int, int], None]) -> ArchiveIndex:
        """As `console.tui.ports.Carrier`."""
        from agent.archives.cache import IndexCache

        return IndexCache(self._cache_folder).index(path.absolute(), heard=heard)

    def pusher(
        self, node: str, archive: ArchiveIndex, nodes: int, on_change: Callable[[], None]
    ) -> Push:
        """As `console.tui.ports.Carrier`."""
        from console.images.push import Push
        from console.images.rate import RateLimit
        from console.images.sending import AT_ONCE

        return Push(
            self._client(node),
            [archive],
            limit=RateLimit(None),
            at_once=max(1, min(AT_ONCE, _LAYERS_AT_ONCE // max(1, nodes))),
            on_change=on_change,
            random=random.Random(),  # noqa: S311 - jitter
        )
