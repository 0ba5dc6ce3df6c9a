"""What nodes that do not answer said of themselves when they were last followed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from agent.protocol.node import NodeFacts
from console.cli.nodes import fleet_file
from console.cli.setup import Setup
from console.fleet.cache import PictureCache
from console.fleet.inventory import NodeEntry
from console.fleet.picture import NodeView


def last_facts(setup: Setup, entries: Sequence[NodeEntry]) -> dict[str, tuple[NodeFacts, float]]:
    """Facts by node, and when they were true (Unix time); the picture on disk has them."""
    views = {entry.name: NodeView(entry) for entry in entries}
    if views:
        PictureCache.of_fleet(fleet_file(setup), os.environ).fill(views)
    return {
        name: (facts, view.seen_at)
        for name, view in views.items()
        if (facts := view.facts()) is not None and view.seen_at is not None
    }
