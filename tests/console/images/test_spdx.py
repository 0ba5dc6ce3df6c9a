"""`roost image sbom`: its documents are SPDX by SPDX's own tools, and say what lies there."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from agent.archives.package_lists import NO_DATABASE
from agent.protocol.packages import Package, PackageList
from agent.protocol.problems import ProblemError
from console.images.purl import purl, read_purl
from console.images.sbom_reading import read_sbom
from console.images.spdx import Subject, document
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
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
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
        f"{sha256(images[1].config)}: there may be more: {NO_DATABASE}",
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


RPM = PackageList(os_id="rhel", os_version="9.4")
DEB = PackageList(os_id="debian", os_version="12")
URLS = [
    (
        DEB,
        Package(kind="deb", name="g++", version="1:12+b1~x", architecture="amd64"),
        "pkg:deb/debian/g%2B%2B@1%3A12%2Bb1~x?arch=amd64&distro=debian-12",
    ),
    (DEB, Package(kind="pypi", name="some-thing", version="1.0"), "pkg:pypi/some-thing@1.0"),
    (DEB, Package(kind="npm", name="@x/y", version="1.0.0"), "pkg:npm/%40x/y@1.0.0"),
    (
        DEB,
        Package(kind="generic", name="cuda-toolkit", version="12.4"),
        "pkg:generic/cuda-toolkit@12.4",
    ),
    (
        RPM,
        Package(kind="rpm", name="openssl-libs", version="1:3.0.7-27.el9", architecture="x86_64"),
        "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1",
    ),
]


@pytest.mark.parametrize(("found", "package", "expected"), URLS)
def test_urls_of_packages(found: PackageList, package: Package, expected: str) -> None:
    assert purl(package, found) == expected
    read = read_purl(expected)
    assert read is not None
    assert (read.kind, read.name, read.version) == (package.kind, package.name, package.version)
    assert read.architecture == package.architecture
    if package.architecture:
        assert (read.os_id, read.os_version) == (found.os_id, found.os_version)


WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=9)
PACKAGES = st.builds(
    Package,
    kind=st.sampled_from(["deb", "apk", "npm", "generic"]),
    name=WORDS.filter(lambda word: not word.startswith("@") and "/" not in word),
    version=WORDS,
    part_of=st.sampled_from(["", "deb a"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PACKAGES, max_size=5), st.sampled_from([[], ["why"]]))
def test_what_is_written_is_read_again(packages: list[Package], unknown: list[str]) -> None:
    kept = sorted(
        {
            msgspec.structs.replace(each, source="s", source_version="1")
            if each.kind in ("deb", "apk")
            else each
            for each in packages
        }
    )
    found = PackageList(os_id="alpine", os_version="3.20.1", packages=kept, unknown=unknown)
    subjects = [Subject("a:1", "sha256:0", "Image", found), Subject("n", "", "Node", DEB)]
    made = [document("a", subjects, version="1", created=NOW) for _ in range(2)]
    assert made[0] == made[1]
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(made[0], file)
        file.flush()
        first, second = read_sbom(Path(file.name))
    assert (first.name, first.found.packages) == ("a:1", kept)
    if unknown:
        assert first.found.unknown == unknown
    if any(each.kind in ("deb", "apk") for each in kept):
        assert (first.found.os_id, first.found.os_version) == ("alpine", "3.20.1")
    assert second.found.unknown == ["the SBOM names no package of it"]


def test_of_another_tool(tmp_path: Path) -> None:
    """As Syft writes them: one package for the image, URLs with `upstream`, and other types."""
    urls = {
        "libssl3": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl",
        "libs": "pkg:rpm/redhat/libs@1-2.el9?distro=rhel-9.4&upstream=base-1-2.el9.src.rpm",
        "x/net": "pkg:golang/golang.org/x/net@0.1.0",
        "file": "",
    }
    packages: list[dict[str, object]] = [
        {"SPDXID": "SPDXRef-whole", "name": "shop", "versionInfo": "1"}
    ]
    for at, (name, url) in enumerate(urls.items()):
        references = [{"referenceType": "purl", "referenceLocator": url}] if url else []
        packages.append({"SPDXID": f"SPDXRef-{at}", "name": name, "externalRefs": references})
    relation = {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": "SPDXRef-whole",
    }
    file = tmp_path / "sbom.json"
    file.write_text(
        json.dumps({"spdxVersion": "SPDX-2.3", "packages": packages, "relationships": [relation]})
    )
    (read,) = read_sbom(file)
    assert read.name == "shop"
    shown = [(each.name, each.source, each.source_version) for each in read.found.packages]
    assert shown == [("libssl3", "openssl", "3.0.11-1"), ("libs", "base", "1-2.el9")]
    assert read.found.unknown == [
        "1 package of golang: not compared here",
        "1 package without a package URL: not compared here",
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"spdxVersion": "SPDX-3.0"}', '{"bomFormat": "C"}'])
def test_what_is_no_sbom(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ProblemError) as raised:
        read_sbom(tmp_path / "a.json")
    assert raised.value.code == "sbom.unreadable"
