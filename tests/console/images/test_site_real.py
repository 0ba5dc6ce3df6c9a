"""Six nodes of one site behind a slow link: their images cross it once.

Namespaces are the nodes' machines, bridges the site's network and the slow one; what crosses is
what the kernel counts at headquarters' interface, headers and all.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.archives_made import Made, docker_archive, layer
from tests.console.images.site_fleet import SiteFleet, site_fleet, start_all
from tests.real.fixtures import DockerEngineFactory
from tests.real.site_network import HEADQUARTERS

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


@pytest.mark.parametrize("seconds", [2, 35])
def test_the_cable_is_pulled(host_kept: None, short_folder: Path, seconds: int) -> None:
    """Once for a moment, once until the connection is given up: next to nothing goes twice."""
    file, image = archive(short_folder, *LAYERS)
    with site_fleet(short_folder, ["alone"], mbit=20) as fleet:
        fleet.add("alone", listens=False)
        start_all(list(fleet.agents.values()))
        fleet.write({"alone": {}})
        before = fleet.network.wan_bytes()
        ended = meanwhile(lambda: fleet.push(file, "@alone"))
        while stored_bytes(fleet, "alone") < 3_000_000:
            time.sleep(0.02)
        fleet.network.pull("alone")
        time.sleep(seconds)
        fleet.network.plug("alone")
        record = ended()["alone"]
        crossed = fleet.network.wan_bytes() - before
        assert record["result"] == "done"
        assert fleet.holds("alone", image.diff_ids)
        queued = 0.3 * 20e6 / 8  # of the network itself: what tbf may hold back
        assert record["sent_bytes"] <= stored_bytes(fleet, "alone") + 2**20 + queued
        assert crossed <= 1.1 * stored_bytes(fleet, "alone") + 2**20


def stored_bytes(fleet: SiteFleet, name: str) -> int:
    """What lies in an agent's store and in its uploads."""
    state = fleet.folder / name / "state"
    return sum(
        file.stat().st_size
        for folder in (state / "blobs", state / "uploads")
        for file in folder.glob("*")
        if file.suffix in {"", ".zst", ".data"}
    )


def loaded(fleet: SiteFleet, name: str) -> bool:
    """Whether the image is in a node's runtime under its name."""
    return any("app:1" in each["tags"] for each in fleet.agents[name].get("/v1/images"))


def meanwhile(push: Callable[[], list[dict[str, Any]]]) -> Callable[[], dict[str, dict[str, Any]]]:
    """Begin a push; what comes back waits for its end."""
    ended: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: ended.extend(push()))
    thread.start()

    def wait() -> dict[str, dict[str, Any]]:
        thread.join()
        return {each["node"]: each for each in ended}

    return wait


@pytest.mark.timeout(300)
def test_a_seed_that_is_killed_amid_it_all(host_kept: None, short_folder: Path) -> None:
    """What it got is gone with it; what others fetched from it is not sent again."""
    # The first half of them is spread while the second one is on its way.
    file, image = archive(short_folder, *(layer(f"part{number}", 3_000_000) for number in range(8)))
    with site_fleet(short_folder, SITE[:4], mbit=8) as fleet:
        for name in SITE[:4]:
            fleet.add(name, listens=name in {"n1", "n3"})
        start_all(list(fleet.agents.values()))
        fleet.write({name: {"site": "plant"} for name in SITE[:4]})
        ended = meanwhile(lambda: fleet.push(file, "site=plant", "--via-site"))
        while stored_bytes(fleet, "n3") < 100_000:
            time.sleep(0.02)
        process = fleet.agents["n1"].process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not fleet.holds("n1", image.diff_ids)
        spread = stored_bytes(fleet, "n3")
        while not all(loaded(fleet, name) for name in ("n2", "n3", "n4")):
            time.sleep(0.2)
        whole = stored_bytes(fleet, "n3")
        fleet.agents["n1"].start()
        records = ended()
    assert {each["result"] for each in records.values()} == {"done"}
    assert "seed" in records["n3"]["way"]
    assert 0 < records["n3"]["sent_bytes"] <= whole - spread
    assert records["n2"]["sent_bytes"] == records["n4"]["sent_bytes"] == 0
    assert records["n1"]["way"] == "seed, from n3"
    # It goes on with what it had before it was killed.
    assert records["n1"]["fetched_bytes"] < whole


def test_a_node_that_cannot_reach_the_seed(host_kept: None, short_folder: Path) -> None:
    file, image = archive(short_folder, LAYERS[2])
    with site_fleet(short_folder, SITE[:3]) as fleet:
        for name in SITE[:3]:
            fleet.add(name, listens=name == "n1")
        start_all(list(fleet.agents.values()))
        fleet.write({name: {"site": "plant"} for name in SITE[:3]})
        words = fleet.words("image", "check", file, "--to", "site=plant", "--json")
        checked = json.loads(fleet.network.run(HEADQUARTERS, *words))
        assert [each["site"]["listening"] for each in checked] == [True, False, False]
        assert checked[0]["site"]["addresses"] == [f"{fleet.network.lan('n1')}:7444"]
        fleet.network.cut_off("n2")
        records = {each["node"]: each for each in fleet.push(file, "site=plant", "--via-site")}
        assert {name: each["way"] for name, each in records.items()} == {
            "n1": "seed",
            "n2": "direct",
            "n3": "from n1",
        }
        assert all(fleet.holds(name, image.diff_ids) for name in SITE[:3])


def test_two_nodes_with_a_docker_each(
    docker_engine_factory: DockerEngineFactory, short_folder: Path
) -> None:
    engines = {name: docker_engine_factory() for name in SITE[:2]}
    file, _ = archive(short_folder, *LAYERS)
    with site_fleet(short_folder, SITE[:2]) as fleet:
        for name, engine in engines.items():
            fleet.add(name, listens=name == "n2", runtime=engine.url)
        start_all(list(fleet.agents.values()))
        fleet.write({name: {"site": "plant"} for name in SITE[:2]})
        records = {each["node"]: each for each in fleet.push(file, "site=plant", "--via-site")}
        assert {name: each["way"] for name, each in records.items()} == {
            "n1": "from n2",
            "n2": "seed",
        }
        for name, engine in engines.items():
            loaded = engine.docker("inspect", "--format", "{{.Id}}", "app:1")
            assert records[name]["images"] == {"app:1": loaded}
            engine.docker("rmi", "app:1")
