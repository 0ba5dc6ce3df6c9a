"""Which packages an image has, by its own databases, whoever wrote them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives.indexing import index_archive
from agent.archives.package_lists import (
    LayerPackages,
    Package,
    layer_packages,
    packages_of,
    put_together,
)
from agent.archives.sources import FileSource
from tests.archives_made import Entry, Made, docker_archive, tar

STATUS = b"""\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9

Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-14)
Version: 1:12.2.0-14

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
APK = (
    b"P:busybox\nV:1.36.1-r5\nA:x86_64\no:busybox\nF:bin\n\nP:ssl_client\nV:1.36.1-r5\no:busybox\n"
)
METADATA = b"Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.0\n\nName: other\nVersion: 9\n\n"
THING = "opt/app/lib/some_thing-1.0.dist-info/METADATA"
LIBC = Package(
    kind="deb",
    name="libc6",
    version="2.36-9",
    architecture="amd64",
    source="glibc",
    source_version="2.36-9",
)


def layer(files: Mapping[str, bytes] | list[Entry]) -> LayerPackages:
    data = tar(files)
    return layer_packages(FileSource(io.BytesIO(data), len(data)))


def test_what_each_database_says() -> None:
    found = put_together(
        [
            layer({"var/lib/dpkg/status": STATUS, "etc/os-release": b'ID=debian\nVERSION_ID="12"'}),
            layer({"lib/apk/db/installed": APK, THING: METADATA}),
        ]
    )
    assert (found.os_id, found.os_version, found.unknown) == ("debian", "12", [])
    assert [(each.kind, each.name, each.version) for each in found.packages] == [
        ("apk", "busybox", "1.36.1-r5"),
        ("apk", "ssl_client", "1.36.1-r5"),
        ("deb", "libc6", "2.36-9"),
        ("deb", "libgcc-s1", "1:12.2.0-14"),
        ("pypi", "Some.Thing", "1.0"),
    ]
    assert found.packages[2] == LIBC
    assert (found.packages[3].source, found.packages[3].source_version) == ("gcc-12", "12.2.0-14")
    assert found.packages[1].source == "busybox"


def test_a_layer_above_hides_what_it_removes_and_replaces() -> None:
    below = layer({"var/lib/dpkg/status": STATUS, THING: METADATA})
    removed = layer({"opt/app/lib/.wh.some_thing-1.0.dist-info": b""})
    assert [each.kind for each in put_together([below, removed]).packages] == ["deb", "deb"]
    replaced = layer({"var/lib/dpkg/status": b"Package: a\nVersion: 2\n"})
    assert [each.name for each in put_together([below, replaced]).packages] == ["a", "Some.Thing"]
    emptied = layer({"var/lib/.wh..wh..opq": b""})
    assert [each.kind for each in put_together([below, emptied]).packages] == ["pypi"]
    # A link where the folder was.
    linked = layer([Entry("opt/app/lib", kind=tarfile.SYMTYPE, target="/else")])
    assert [each.kind for each in put_together([below, linked]).packages] == ["deb", "deb"]


def test_what_is_not_known_is_told() -> None:
    found = put_together([layer({"var/lib/rpm/rpmdb.sqlite": b"x", "usr/bin/rpm": b""})])
    assert found.unknown == ["/var/lib/rpm/rpmdb.sqlite: packages of rpm, which are not read here"]
    wild = layer({"var/lib/dpkg/status": b"Package: a\x1b[2J\nVersion: 1\n\n" + STATUS})
    found = put_together([wild])
    assert len(found.packages) == 2
    assert found.unknown == ["/var/lib/dpkg/status: a package has no proper name or version"]
    data = tar({"var/lib/dpkg/status": STATUS})[:700]
    found = put_together([layer_packages(FileSource(io.BytesIO(data), len(data)))])
    assert found.packages == []
    assert found.unknown == ["layer 1: the file ends too early"]


def test_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.tar"
    layers = [tar({"var/lib/dpkg/status": STATUS}), tar({THING: METADATA})]
    file.write_bytes(docker_archive([Made(layers)]))
    index = index_archive(file)
    heard: list[tuple[int, int]] = []
    found = packages_of(index, index.images[0], heard=lambda *told: heard.append(told))
    assert len(found.packages) == 3
    total = sum(map(len, layers))
    assert heard[-1] == (total, total)
    monkeypatch.setattr("agent.archives.package_lists.PACKAGES_LIMIT", 1)
    found = packages_of(index, index.images[0])
    assert "more than 1 packages" in found.unknown[0]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["var/lib/dpkg/status", "etc/os-release", THING]))
def test_whatever_lies_there(data: bytes, path: str) -> None:
    for each in put_together([layer({path: data})]).packages:
        assert each.name.isprintable()
