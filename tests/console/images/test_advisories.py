"""`roost image scan`: which advisories are about an image, by the ecosystems' own orders."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.archives.package_lists import ImagePackages, Package
from agent.protocol.problems import ProblemError
from console.images.advisories import OsvAdvisory, Scan, read_advisories, scan
from tests.archives_made import Made, docker_archive, tar
from tests.console.cli.commands import roost

pytestmark = pytest.mark.timeout(60)
OPENSSL = Package(
    kind="deb",
    name="libssl3",
    version="3.0.11-1~deb12u2",
    source="openssl",
    source_version="3.0.11-1~deb12u2",
)
DEBIAN = ImagePackages(os_id="debian", os_version="12", packages=[OPENSSL])


def advisory(ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> OsvAdvisory:
    affected = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        **more,
    }
    return msgspec.convert({"id": "A-1", "affected": [affected]}, OsvAdvisory)


def of(image: ImagePackages, *advisories: OsvAdvisory) -> list[tuple[str, str, str | None]]:
    told = scan(advisories, image)
    assert told.unknown == []
    return [(hit.package, hit.version, hit.fixed) for hit in told.hits]


@pytest.mark.parametrize(
    ("fixed", "is_hit"),
    [
        ("3.0.11-1~deb12u3", True),
        ("3.0.11-1~deb12u10", True),  # no text would say so
        ("3.0.11-1", True),  # after what has a ~
        ("3.0.11-1~deb12u2", False),
        ("3.0.9-9", False),
        ("1:1.0-1", True),  # an epoch
    ],
)
def test_debian_versions_have_dpkgs_order(fixed: str, is_hit: bool) -> None:
    found = of(DEBIAN, advisory("Debian:12", "openssl", {"introduced": "0"}, {"fixed": fixed}))
    assert found == ([("openssl", OPENSSL.version, fixed)] if is_hit else [])


def test_another_release_another_name_and_what_is_withdrawn() -> None:
    begun = {"introduced": "0"}
    assert of(DEBIAN, advisory("Debian:11", "openssl", begun)) == []
    assert of(DEBIAN, advisory("Debian:12", "libssl3", begun)) == []
    assert of(DEBIAN, advisory("Ubuntu:12", "openssl", begun)) == []
    assert of(DEBIAN, advisory("Debian:12", "openssl", begun)) == [
        ("openssl", OPENSSL.version, None)
    ]
    gone = msgspec.structs.replace(advisory("Debian:12", "openssl", begun), withdrawn="2026-01-01")
    assert of(DEBIAN, gone) == []


@pytest.mark.parametrize(
    ("version", "is_hit"),
    [
        ("0.9", False),
        ("1.0", True),
        ("1.4.9", True),
        ("1.5", False),
        ("1.10", False),
        ("2.0rc1", False),
        ("2.0", True),
        ("2.3", True),
        ("2.3.1", False),
        ("7", True),  # named by itself
    ],
)
def test_ranges_have_holes(version: str, is_hit: bool) -> None:
    events = [
        {"introduced": "1.0"},
        {"fixed": "1.5"},
        {"introduced": "2.0"},
        {"last_affected": "2.3"},
    ]
    image = ImagePackages(packages=[Package(kind="pypi", name="Some_Thing", version=version)])
    found = of(image, advisory("PyPI", "some-thing", *events, versions=["7"]))
    assert bool(found) is is_hit


def test_alpine_and_ubuntu_name_their_releases_differently() -> None:
    busybox = Package(kind="apk", name="ssl_client", version="1.36.1-r5", source="busybox")
    alpine = ImagePackages(os_id="alpine", os_version="3.18.4", packages=[busybox])
    events = [{"introduced": "0"}, {"fixed": "1.36.1-r10"}]
    assert len(of(alpine, advisory("Alpine:v3.18", "busybox", *events))) == 1
    assert of(alpine, advisory("Alpine:v3.1", "busybox", *events)) == []
    ubuntu = ImagePackages(os_id="ubuntu", os_version="22.04", packages=[OPENSSL])
    assert len(of(ubuntu, advisory("Ubuntu:22.04:LTS", "openssl", {"introduced": "0"}))) == 1
    assert of(ubuntu, advisory("Ubuntu:Pro:22.04:LTS", "openssl", {"introduced": "0"})) == []


def test_what_cannot_be_compared_is_told() -> None:
    events = [{"introduced": "0"}, {"fixed": "<unfixed>"}]
    told = scan([advisory("Debian:12", "openssl", *events)], DEBIAN)
    assert told.hits == []
    assert told.unknown[0].startswith("A-1, openssl 3.0.11-1~deb12u2: ")
    other = msgspec.structs.replace(DEBIAN, os_id="mystery")
    assert scan([], other) == Scan(unknown=["packages of deb: of mystery nothing is known"])


def test_files(tmp_path: Path) -> None:
    one = msgspec.json.encode(advisory("PyPI", "a", {"introduced": "0"}))
    (tmp_path / "one.json").write_bytes(one)
    (tmp_path / "two.json").write_bytes(b"[" + one + b"," + one + b"]")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a/one.json", one)
        archive.writestr("README", "no advisory")
    counts = {
        name: len(list(read_advisories(tmp_path / name)))
        for name in ("one.json", "two.json", "all.zip")
    }
    assert counts == {"one.json": 1, "two.json": 2, "all.zip": 1}
    (tmp_path / "cut.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:-30])
    (tmp_path / "wrong.json").write_bytes(b'{"id": 7}')
    for name in ("cut.zip", "wrong.json", "none.json"):
        with pytest.raises(ProblemError) as raised:
            list(read_advisories(tmp_path / name))
        assert raised.value.code == "advisories.unreadable"
        assert name in raised.value.detail


def test_on_the_command_line(tmp_path: Path) -> None:
    status = (
        b"Package: libssl3\nSource: openssl\nVersion: 3.0.11-1~deb12u2\nStatus: a b installed\n"
    )
    files = {"var/lib/dpkg/status": status, "etc/os-release": b"ID=debian\nVERSION_ID=12\n"}
    archive, file = tmp_path / "image.tar", tmp_path / "osv.json"
    archive.write_bytes(docker_archive([Made([tar(files)], ["shop:1"])]))
    events = [{"introduced": "0"}, {"fixed": "3.0.13-1~deb12u1"}]
    said = advisory("Debian:12", "openssl", *events)
    said = msgspec.structs.replace(said, aliases=["CVE-2026-1"])
    file.write_bytes(msgspec.json.encode(said))
    done = roost(tmp_path, "image", "scan", archive, "--advisories", file)
    assert done.code == 1, done
    assert done.out.split() == [
        *("IMAGE", "ADVISORY", "PACKAGE", "VERSION", "FIXED", "IN", "ALSO"),
        *("shop:1", "A-1", "openssl", OPENSSL.version, "3.0.13-1~deb12u1", "CVE-2026-1"),
    ]
    assert done.err == "shop:1: 1 finding about 1 package of 1, by 1 advisories\n"
    (record,) = json.loads(
        roost(tmp_path, "image", "scan", archive, "--advisories", file, "--json").out
    )
    assert record["hits"][0]["installed"] == ["libssl3"]
    file.write_text("[]")
    clean = roost(tmp_path, "image", "scan", archive, "--advisories", file)
    assert (clean.code, clean.err) == (
        0,
        "shop:1: 0 findings about 0 packages of 1, by 0 advisories\n",
    )
