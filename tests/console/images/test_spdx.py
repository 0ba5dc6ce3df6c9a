"""`roost image sbom`: its documents are SPDX by SPDX's own tools, and say what lies there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from agent.archives.package_lists import ImagePackages, Package
from console.images.spdx import purl
from tests.archives_made import Made, docker_archive, sha256, tar
from tests.console.cli.commands import roost

STATUS = b"Package: g++-12\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12\n\
Version: 1:12.2.0-14+deb12u1\n"
FILES = {
    "var/lib/dpkg/status": STATUS,
    "etc/os-release": b"ID=debian\nVERSION_ID=12\n",
    "usr/lib/python3/dist-packages/Some_Thing-2.0.dist-info/METADATA": (
        "Name: Some_Thing\nVersion: 2.0+löcal\n".encode()
    ),
    "usr/lib/python3/dist-packages/fine-1.dist-info/METADATA": b"Name: Fine_One\nVersion: 1\n",
}
pytestmark = pytest.mark.timeout(60)


def test_a_document(tmp_path: Path) -> None:
    archive, file = tmp_path / "image.tar", tmp_path / "image.spdx.json"
    images = [Made([tar(FILES)], ["shop/one:1"]), Made([tar({"a": b"b"})], [])]
    archive.write_bytes(docker_archive(images))
    done = roost(tmp_path, "image", "sbom", archive, "-o", file)
    assert done.code == 1, done
    assert done.out == ""
    place = "/usr/lib/python3/dist-packages/Some_Thing-2.0.dist-info/METADATA"
    assert done.err.splitlines() == [
        "shop/one:1: 2 packages (1 deb, 1 pypi), debian 12",
        f"shop/one:1: there may be more: {place}: a package has no proper name or version",
        f"{sha256(images[1].config)}: 0 packages (none), no distribution known",
    ]
    document = json_parser.parse_from_file(str(file))
    assert validate_full_spdx_document(document) == []
    names = {each.spdx_id: each.name for each in document.packages}
    shown = [
        (names.get(each.spdx_element_id), each.relationship_type.name, names[to])
        for each in document.relationships
        if isinstance(to := each.related_spdx_element_id, str)
    ]
    assert shown == [
        (None, "DESCRIBES", "shop/one:1"),
        ("shop/one:1", "CONTAINS", "g++-12"),
        ("shop/one:1", "CONTAINS", "Fine_One"),
        (None, "DESCRIBES", sha256(images[1].config)),
    ]
    (gcc,) = [each for each in document.packages if each.name == "g++-12"]
    assert gcc.source_info == "built from gcc-12 1:12.2.0-14+deb12u1"
    again = roost(tmp_path, "image", "sbom", archive, "-o", file)
    assert (again.code, "is there already" in again.err) == (2, True)
    out = roost(tmp_path, "image", "sbom", archive)
    assert json.loads(out.out)["packages"] == json.loads(file.read_text())["packages"]


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        (
            Package(kind="deb", name="g++", version="1:12+b1~x", architecture="amd64"),
            "pkg:deb/debian/g%2B%2B@1%3A12%2Bb1~x?arch=amd64&distro=debian-12",
        ),
        (Package(kind="pypi", name="Some_.Thing", version="1.0"), "pkg:pypi/some-thing@1.0"),
    ],
)
def test_urls_of_packages(package: Package, expected: str) -> None:
    assert purl(package, ImagePackages(os_id="debian", os_version="12")) == expected
