"""What a release lacks: images, nodes for its waves, somebody who watches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.problems import ProblemError
from agent.rules.tables import built_in
from console.compose.compose_file import NodeValues, read_compose, workloads_for
from console.fleet.inventory import NodeEntry
from console.rollouts.parcels import Parcels, remembered
from console.rollouts.release_check import check_release, images_of
from console.rollouts.supplies import read_supplies
from tests.archives_made import Made, docker_archive, layer

FLEET = [NodeEntry(name=f"cam-{n}", address="ssh://x", labels={"site": "lab"}) for n in range(2)]
SERVICES = """\
services:
  web:
    image: edge/app:1
    healthcheck: {test: [CMD, "true"]}
    x-roost:
      variants: [edge/app:1-cu118]
"""


def checked(
    folder: Path,
    text: str,
    parcels: Parcels | None = None,
    fleet: list[NodeEntry] | None = None,
) -> list[tuple[str, int | None, str]]:
    path = folder / "app.yaml"
    path.write_text(text)
    file = read_compose(path)
    means = workloads_for(file, NodeValues("", {}))
    found = check_release(file, means, parcels=parcels, fleet=fleet)
    return [(each.code, each.line, each.what) for each in found]


def archive(folder: Path, *tags: str, name: str = "app.tar") -> ArchiveIndex:
    path = folder / name
    path.write_bytes(docker_archive([Made([layer("app")], tags=[tag]) for tag in tags]))
    return index_archive(path)


def test_images_that_no_archive_has(tmp_path: Path) -> None:
    parcels = Parcels([archive(tmp_path, "edge/app:1-cu128"), archive(tmp_path, "q:1", name="q")])
    assert checked(tmp_path, SERVICES, parcels) == [
        ("release.archive", None, f"{tmp_path}/app.tar has none of the release's images"),
        ("release.archive", None, f"{tmp_path}/q has none of the release's images"),
        ("release.image", 3, "services.web.image: no archive has edge/app:1"),
        ("release.image", 6, "services.web.x-roost.variants: no archive has edge/app:1-cu118"),
    ]


def test_images_that_archives_have(tmp_path: Path) -> None:
    parcels = Parcels([archive(tmp_path, "docker.io/edge/app:1", "edge/app:1-cu118")])
    assert checked(tmp_path, SERVICES, parcels) == []
    assert checked(tmp_path, SERVICES, None) == []


def test_waves_that_mean_nobody(tmp_path: Path) -> None:
    waves = """\
x-roost:
  rollout:
    waves:
    - selector: site=lab
    - selector: site=plant
    - selector: sight=lab
    - selector: "@cam-7"
    - selector: "site="
    - selector: "(("
"""
    found = checked(tmp_path, waves + SERVICES, fleet=FLEET)
    assert [(code, line) for code, line, _ in found] == [
        ("release.wave", line) for line in (5, 6, 7, 8, 9)
    ]
    assert "which means none of the nodes" in found[0][2]
    assert "no node has the label 'sight'" in found[1][2]
    assert "there is no node 'cam-7'" in found[2][2]
    # Without a fleet only what cannot be read is wrong.
    assert [line for _, line, _ in checked(tmp_path, waves + SERVICES)] == [9]


def test_a_service_that_nothing_watches(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: edge/app:1\n"
    (found,) = checked(tmp_path, text)
    assert found[:2] == ("release.unwatched", 2)
    assert checked(tmp_path, text + "    x-roost: {probes: [{http: {port: 80}}]}\n") == []


def test_all_images_of_a_release(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(
        SERVICES + "      engine: {onnx: /m.onnx, executor: container, image: 'trt:10'}\n"
    )
    means = workloads_for(read_compose(path), NodeValues("", {}))
    assert images_of(means) == ["edge/app:1", "edge/app:1-cu118", "trt:10"]


def test_an_archive_is_known_again_by_its_images(tmp_path: Path) -> None:
    kept = remembered(archive(tmp_path, "edge/app:1", "edge/app:2"))
    (tmp_path / "app.tar").touch()
    found = read_supplies([kept], caches=tmp_path / "cache", tables=built_in())
    assert found.parcels.names == ["edge/app:1", "edge/app:2"]
    archive(tmp_path, "edge/app:1", "edge/app:3")
    with pytest.raises(ProblemError) as raised:
        read_supplies([kept], caches=tmp_path / "cache", tables=built_in())
    assert raised.value.code == "archive.changed"


def test_one_image_of_several(tmp_path: Path) -> None:
    parcels = Parcels([archive(tmp_path, "edge/app:1", "edge/app:2")])
    (only,) = parcels.of(["edge/app:2"])
    assert [image.tags for image in only.images] == [["edge/app:2"]]
    found = parcels.find("edge/app:1", "amd64")
    assert found is not None
    assert found.tags == ["edge/app:1"]
    assert parcels.find("edge/app:3", "amd64") is None
