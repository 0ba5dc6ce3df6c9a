"""Six nodes of one site behind a slow link: their images cross it once.

Namespaces are the nodes' machines, bridges the site's network and the slow one; what crosses is
what the kernel counts at headquarters' interface, headers and all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives_made import Made, docker_archive, layer
from tests.console.images.site_fleet import site_fleet, start_all

pytestmark = [pytest.mark.real("network"), pytest.mark.timeout(180)]

SITE = [f"n{number}" for number in range(1, 7)]
# They compress to a little more than half.
LAYERS = [layer("base", 12_000_000), layer("libs", 8_000_000), layer("app", 4_000_000)]


def archive(folder: Path, *layers: bytes, tag: str = "app:1") -> tuple[Path, Made]:
    image = Made(list(layers), tags=[tag])
    file = folder / f"{tag.replace(':', '-')}.tar"
    file.write_bytes(docker_archive([image]))
    return file, image


def test_six_nodes_cost_little_more_than_one(host_kept: None, short_folder: Path) -> None:
    file, image = archive(short_folder, *LAYERS)
    with site_fleet(short_folder, [*SITE, "alone"]) as fleet:
        for name in [*SITE, "alone"]:
            fleet.add(name, listens=name in {"n2", "n5"})
        start_all(list(fleet.agents.values()))
        fleet.write({name: {"site": "plant"} for name in SITE})

        before = fleet.network.wan_bytes()
        [single] = fleet.push(file, "@alone", "--via-site")
        one_copy = fleet.network.wan_bytes() - before
        assert (single["result"], single["way"]) == ("done", "direct")

        before = fleet.network.wan_bytes()
        records = fleet.push(file, "site=plant", "--via-site")
        six_nodes = fleet.network.wan_bytes() - before

        assert {each["node"]: each["way"] for each in records} == {
            name: "seed" if name == "n2" else "from n2" for name in SITE
        }
        assert {each["result"] for each in records} == {"done"}
        assert all(fleet.holds(name, image.diff_ids) for name in SITE)
        assert sum(each["sent_bytes"] for each in records) == single["sent_bytes"]
        assert six_nodes <= 1.05 * one_copy
