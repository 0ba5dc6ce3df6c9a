"""Which packages an image has, by its own databases, whoever wrote them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives import package_files, package_lists
from agent.archives.indexing import index_archive
from agent.archives.package_lists import (
    LINK,
    NO_DATABASE,
    LayerPackages,
    layer_packages,
    packages_of,
    put_together,
)
from agent.archives.sources import FileSource
from agent.protocol.packages import Package
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
    found = put_together([layer({"var/lib/rpm/Packages": b"x", "usr/bin/rpm": b""})])
    assert [each.partition(": ")[0] for each in found.unknown] == ["/var/lib/rpm/Packages"]
    assert put_together([layer({"app/server": b"static"})]).unknown == [NO_DATABASE]
    assert put_together([layer({THING: METADATA})]).unknown == [NO_DATABASE]
    wild = layer({"var/lib/dpkg/status": b"Package: a\x1b[2J\nVersion: 1\n\n" + STATUS})
    found = put_together([wild])
    assert len(found.packages) == 2
    assert found.unknown == ["/var/lib/dpkg/status: a package has no proper name or version"]
    data = tar({"var/lib/dpkg/status": STATUS})[:700]
    found = put_together([layer_packages(FileSource(io.BytesIO(data), len(data)))])
    assert found.packages == []
    assert found.unknown[0] == "the file ends too early"
    many = {f"lib/{n}.dist-info/METADATA": b"Name: a\n" for n in range(4)}
    assert put_together([layer(many)]).unknown[0] == (
        "4 files, the first is /lib/0.dist-info/METADATA: a package has no proper name or version"
    )


def kinds(*layers: LayerPackages) -> list[tuple[str, str, str]]:
    return [(each.kind, each.name, each.version) for each in put_together(layers).packages]


def test_distroless_images_have_a_file_for_each_package() -> None:
    below = layer(
        {
            "var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9\nSource: glibc\n",
            "var/lib/dpkg/status.d/libc6.md5sums": b"Package: no\nVersion: 1\n",
            "var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 2024a-0\n",
        }
    )
    removed = layer({"var/lib/dpkg/status.d/.wh.tzdata": b""})
    assert kinds(below) == [("deb", "libc6", "2.36-9"), ("deb", "tzdata", "2024a-0")]
    assert kinds(below, removed) == [("deb", "libc6", "2.36-9")]


def test_what_lies_there_counts_though_it_is_not_configured() -> None:
    states = ("installed", "unpacked", "half-configured", "config-files", "not-installed")
    status = "".join(f"Package: {s}\nStatus: install ok {s}\nVersion: 1\n\n" for s in states)
    found = kinds(layer({"var/lib/dpkg/status": status.encode()}))
    assert [name for _, name, _ in found] == ["half-configured", "installed", "unpacked"]


def test_where_python_and_npm_put_their_projects() -> None:
    files = {
        "usr/local/lib/python3.11/site-packages/a-1.dist-info/METADATA": b"Name: a\nVersion: 1\n",
        "opt/venv/lib/python3.11/site-packages/b.egg-info/PKG-INFO": b"Name: b\nVersion: 2\n",
        "usr/lib/python3/dist-packages/c-3.egg-info": b"Name: c\nVersion: 3\n",
        "opt/d.egg/EGG-INFO/PKG-INFO": b"Name: d\nVersion: 4\n",
        "srv/node_modules/e/package.json": b'{"name": "e", "version": "5.0.0"}',
        "srv/node_modules/@x/f/package.json": b'{"name": "@x/f", "version": "6.0.0"}',
        "srv/node_modules/e/test/package.json": b'{"name": "no", "version": "0"}',
        "srv/package.json": b'{"name": "the app", "version": "0"}',
        "usr/local/cuda-12.4/version.json": b'{"cuda": {"version": "12.4.1"}}',
        "usr/lib/apk/db/installed": b"P:g\nV:7-r0\n",
    }
    assert kinds(layer(files)) == [
        ("apk", "g", "7-r0"),
        ("generic", "cuda-toolkit", "12.4.1"),
        ("npm", "@x/f", "6.0.0"),
        ("npm", "e", "5.0.0"),
        ("pypi", "a", "1"),
        ("pypi", "b", "2"),
        ("pypi", "c", "3"),
        ("pypi", "d", "4"),
    ]


def test_what_a_distribution_brought_is_known_as_its_own() -> None:
    yaml = "usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO"
    listed = {
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/python3-yaml:amd64.list": f"/.\n/usr\n/{yaml}\n".encode(),
    }
    own = layer({yaml: b"Name: PyYAML\nVersion: 6.0\n", **listed})
    (found,) = [each for each in put_together([own]).packages if each.kind == "pypi"]
    assert found.part_of == "deb python3-yaml"
    apk = b"P:py3-idna\nV:3.4-r0\nF:usr/lib/python3.11/site-packages/idna-3.4.dist-info\n"
    path = "usr/lib/python3.11/site-packages/idna-3.4.dist-info/METADATA"
    files = {
        "lib/apk/db/installed": apk + b"R:METADATA\na:0:0:644\n",
        path: b"Name: idna\nVersion: 3\n",
    }
    (found,) = [each for each in put_together([layer(files)]).packages if each.kind == "pypi"]
    assert found.part_of == "apk py3-idna"
    # One that pip put over it is nobody's.
    newer = layer({"usr/local/lib/python3/x-1.dist-info/METADATA": b"Name: PyYAML\nVersion: 6.0\n"})
    parts = [each.part_of for each in put_together([own, newer]).packages if each.kind == "pypi"]
    assert parts == ["", "deb python3-yaml"]


def test_links() -> None:
    first = "root/.cache/a-1.dist-info/METADATA"
    second = "opt/lib/a-1.dist-info/METADATA"
    linked = layer(
        [
            Entry(first, b"Name: a\nVersion: 1\n"),
            Entry(second, kind=tarfile.LNKTYPE, target=first),
            Entry("opt/lib/b-1.dist-info/METADATA", kind=tarfile.LNKTYPE, target="store/xyz"),
            Entry("var/lib/dpkg/status", kind=tarfile.SYMTYPE, target="/else"),
        ]
    )
    emptied = layer({"root/.cache/.wh..wh..opq": b""})
    assert kinds(linked, emptied) == [("pypi", "a", "1")]
    assert put_together([linked]).unknown == [
        "/opt/lib/b-1.dist-info/METADATA: it is a second name of a file that was not looked into",
        f"/var/lib/dpkg/status: {LINK}",
    ]
    # A link in the place of a file: what the file said is gone.
    below = layer({"etc/os-release": b"ID=debian\n", "usr/lib/os-release": b"ID=debian\n"})
    over = layer(
        [
            Entry("etc/os-release", kind=tarfile.SYMTYPE, target="../usr/lib/os-release"),
            Entry("usr/lib/os-release", b"ID=ubuntu\n"),
        ]
    )
    assert put_together([below, over]).os_id == "ubuntu"


@pytest.mark.parametrize(
    "text", [b'{"name": "\xff", "cuda": {"version": "\xff"}}', b'{"x": ' + b"[" * 100_000]
)
def test_json_that_is_none(text: bytes) -> None:
    for path in ("srv/node_modules/x/package.json", "usr/local/cuda/version.json"):
        made = put_together([layer({"var/lib/dpkg/status": STATUS, path: text[:60_000]})])
        assert [each.name for each in made.packages] == ["libc6", "libgcc-s1"]
        assert made.unknown[0].startswith(f"/{path}: it ")


def test_files_may_not_fill_memory_together(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"var/lib/dpkg/status.d/{name}": STATUS for name in "abc"}
    assert layer(files).problem == ""
    monkeypatch.setattr(package_lists, "NAMES_LIMIT", 5)
    found = layer(files)
    assert (len(found.files), found.problem) == (2, "it names more than 5 packages")
    monkeypatch.setattr(package_files, "PACKAGES_LIMIT", 1)
    lines = b"/usr/lib/a.egg-info\n/" + b"d" * 5000 + b"/b.egg-info\n"
    assert layer({"var/lib/dpkg/info/a.list": lines}).files["var/lib/dpkg/info/a.list"].owned == {
        "usr/lib/a.egg-info": "deb a"
    }
    found = layer({"var/lib/dpkg/info/a.list": lines + b"/usr/lib/c.egg-info\n"})
    assert "more than 1 files of Python" in found.files["var/lib/dpkg/info/a.list"].problem


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
    monkeypatch.setattr("agent.archives.package_files.PACKAGES_LIMIT", 1)
    found = packages_of(index, index.images[0])
    assert "more than 1 packages" in found.unknown[0]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["var/lib/dpkg/status", "etc/os-release", THING]))
def test_whatever_lies_there(data: bytes, path: str) -> None:
    for each in put_together([layer({path: data})]).packages:
        assert each.name.isprintable()
