"""One image for twenty nodes of a site behind a slow link."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.archives import write_archive, write_layer
from tests.bench.table import Row
from tests.console.images.site_fleet import site_fleet, start_all

MEGABYTE = 10**6
NODES, FEW = 20, 4


def run(*, short: bool) -> list[Row]:
    """Bytes on the slow link for all nodes, against those for one; `short` with few nodes."""
    count, size = (FEW, 20 * MEGABYTE) if short else (NODES, 100 * MEGABYTE)
    site = [f"n{number}" for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory(prefix="rs") as name:
        folder = Path(name)
        layers = []
        for number in range(4):
            path = folder / f"layer{number}"
            layers.append((path, write_layer(path, size // 4, f"layer{number}")))
        archive = folder / "app.tar"
        write_archive(archive, layers, "bench/app:1")
        with site_fleet(folder, [*site, "alone"]) as fleet:
            for host in [*site, "alone"]:
                fleet.add(host, listens=host in site[:2])
            start_all(list(fleet.agents.values()))
            fleet.write({host: {"site": "plant"} for host in site})
            before = fleet.network.wan_bytes()
            fleet.push(archive, "@alone")
            one = fleet.network.wan_bytes() - before
            before = fleet.network.wan_bytes()
            records = fleet.push(archive, "site=plant", "--via-site")
            every = fleet.network.wan_bytes() - before
    failed = [record for record in records if record["result"] != "done"]
    if failed:
        raise RuntimeError(f"not all nodes have it: {failed}")
    return [
        Row(
            name=f"{count} nodes of one site, --via-site: bytes on the slow link",
            value=every / MEGABYTE,
            unit="MB",
            limit=1.05 * one / MEGABYTE,
            peer_name="one node, directly",
            peer=one / MEGABYTE,
        )
    ]
