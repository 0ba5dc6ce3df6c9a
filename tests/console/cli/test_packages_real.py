"""`roost image sbom NODE IMAGE`, `roost node sbom` and `roost image scan NODE` on a real node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.console.images.test_scanning import advisory
from tests.real.busybox import IMAGE
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

TAG = "roost.local/shop:1"
STATUS = b"Package: libssl3\nSource: openssl\nVersion: 3.0.11-1~deb12u2\n"
pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


class Site(msgspec.Struct):
    home: Path
    fleet: Path
    advisories: Path

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, *arguments)


@pytest.fixture(params=["docker_engine", "podman_service"])
def site(request: pytest.FixtureRequest, short_folder: Path, tmp_path: Path) -> Iterator[Site]:
    """A node where two containers run one image, and an image that nothing runs."""
    part: PrivateRuntime = request.getfixturevalue(request.param)
    part.clear()
    command = part.podman if isinstance(part, PodmanService) else part.docker
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_bytes(STATUS)
    release = tmp_path / "os-release"
    release.write_text("ID=debian\nVERSION_ID=12\n")
    container = command("create", IMAGE)
    command("cp", str(root / "var"), f"{container}:/")
    command("cp", str(release), f"{container}:/etc/os-release")
    command("commit", container, TAG)
    command("rm", container)
    for name in ("web", "worker"):
        command("run", "--detach", "--name", name, TAG, "sleep", "1000")
    advisories = tmp_path / "debian.json"
    events = [{"introduced": "0"}, {"fixed": "3.0.13-1~deb12u1"}]
    said = [advisory("Debian:12", "openssl", *events, ecosystem_specific={"urgency": "high"})]
    advisories.write_bytes(msgspec.json.encode(said))
    with AgentProcess(short_folder, {"runtime": part.url}) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['operator']}")
        yield Site(tmp_path, write_fleet(tmp_path / "fleet.yaml", [entry]), advisories)
    part.clear()
    command("rmi", "--force", TAG)


def valid(file: Path) -> list[str]:
    """Its packages' names, once SPDX's own tools have nothing against it."""
    document = json_parser.parse_from_file(str(file))
    assert validate_full_spdx_document(document) == []
    return [each.name for each in document.packages]


def test_from_the_image_to_the_finding(site: Site) -> None:
    file = site.home / "shop.spdx.json"
    done = site.roost("image", "sbom", "edge", TAG, "-o", file)
    assert done.code == 0, done
    *progress, last = done.err.splitlines()
    assert last == f"{TAG}: 1 package (1 deb), debian 12"
    assert progress in ([f"edge: looking into {TAG}"], [])  # it may be over before it is told
    assert valid(file) == [TAG, "libssl3"]
    # It was read: a second time nobody looks, and the document is the same but for its time.
    again = site.roost("image", "sbom", "edge", TAG)
    assert again.err.splitlines() == [f"{TAG}: 1 package (1 deb), debian 12"]
    first, second = json.loads(file.read_text()), json.loads(again.out)
    del first["creationInfo"]["created"], second["creationInfo"]["created"]
    assert first == second

    # The scan is over what runs; the base image runs nowhere.
    scan = ("image", "scan", "edge", "--advisories", site.advisories)
    found = site.roost(*scan)
    assert found.code == 1, found
    assert found.out.splitlines()[1].split() == [
        *("A-1", "high", "openssl", "3.0.11-1~deb12u2", "3.0.13-1~deb12u1")
    ]
    assert f"{TAG}: edge runs it: web, worker" in found.err.splitlines()
    (record,) = json.loads(site.roost(*scan, "--json").out)
    assert record["runs"] == {"edge": ["web", "worker"]}
    assert (record["failed"], record["unknown"]) == (True, [])
    assert record["digest"] == first["packages"][0]["versionInfo"]
    assert site.roost(*scan, "--fail-on", "critical").code == 0
    more = json.loads(site.roost(*scan, "--unused", "--json").out)
    assert {each["image"]: bool(each["unknown"]) for each in more} == {
        TAG: False,
        more[0]["image"]: True,
    }


def test_a_node_with_its_images(site: Site) -> None:
    file = site.home / "edge.spdx.json"
    done = site.roost("node", "sbom", "edge", "-o", file)
    assert done.code in (0, 1), done  # what is on this machine is not ours
    names = valid(file)
    assert names[0] == "edge"
    assert {TAG, "libssl3", "roost-agent", "dpkg", "msgspec"} <= set(names)
    told = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {line.split()[1] for line in told if line.startswith("installed ")} <= set(names)
    # Taken home, it is scanned without the node.
    done = site.roost("image", "scan", file, "--advisories", site.advisories, "--json")
    node, image = json.loads(done.out)
    assert (node["image"], image["image"]) == ("edge", TAG)
    assert [hit["id"] for hit in image["hits"]] == ["A-1"]


def test_what_is_not_there(site: Site) -> None:
    none = site.roost("image", "sbom", "edge", "none:1")
    assert (none.code, "no image 'none:1'" in none.err) == (1, True)
    bare = site.roost("image", "sbom", "edge")
    assert (bare.code, "roost image sbom edge IMAGE" in bare.err) == (2, True)
    lost = site.roost("image", "scan", "edge", "--advisories", site.home / "none.zip")
    assert (lost.code, "none.zip: No such file" in lost.err) == (1, True)
    lost = site.roost("image", "scan", "none.json", "--advisories", site.advisories)
    assert (lost.code, "none.json: No such file" in lost.err) == (1, True)
