"""`roost image scan`: which advisories are about an image, by the ecosystems' own orders."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.packages import Package, PackageList
from agent.protocol.problems import ProblemError
from console.images.osv import OsvAdvisory, read_advisories
from console.images.purl import read_purl
from console.images.scanning import scan
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
DEBIAN = PackageList(os_id="debian", os_version="12", packages=[OPENSSL])


def advisory(ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> OsvAdvisory:
    affected = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        **more,
    }
    return msgspec.convert({"id": "A-1", "affected": [affected]}, OsvAdvisory)


def of(image: PackageList, *advisories: OsvAdvisory) -> list[tuple[str, str, str | None]]:
    _, (told,) = scan(advisories, [image])
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


SEEN = advisory("Debian:12", "another", {"introduced": "0"})


def test_another_release_another_name_and_what_is_withdrawn() -> None:
    begun = {"introduced": "0"}
    assert of(DEBIAN, SEEN, advisory("Debian:11", "openssl", begun)) == []
    assert of(DEBIAN, SEEN, advisory("Debian:12", "libssl3", begun)) == []
    assert of(DEBIAN, SEEN, advisory("Ubuntu:12", "openssl", begun)) == []
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
    image = PackageList(packages=[Package(kind="pypi", name="Some_Thing", version=version)])
    found = of(image, advisory("PyPI", "some-thing", *events, versions=["7"]))
    assert bool(found) is is_hit


def test_releases_have_different_names() -> None:
    busybox = Package(kind="apk", name="ssl_client", version="1.36.1-r5", source="busybox")
    alpine = PackageList(os_id="alpine", os_version="3.18.4", packages=[busybox])
    events = [{"introduced": "0"}, {"fixed": "1.36.1-r10"}]
    assert len(of(alpine, advisory("Alpine:v3.18", "busybox", *events))) == 1
    assert _unseen(alpine, advisory("Alpine:v3.1", "busybox", *events)) == "Alpine 3.18.4"
    ubuntu = PackageList(os_id="ubuntu", os_version="22.04", packages=[OPENSSL])
    assert len(of(ubuntu, advisory("Ubuntu:22.04:LTS", "openssl", {"introduced": "0"}))) == 1
    pro = advisory("Ubuntu:Pro:22.04:LTS", "openssl", {"introduced": "0"})
    assert _unseen(ubuntu, pro) == "Ubuntu 22.04"
    wolfi = msgspec.structs.replace(alpine, os_id="wolfi", os_version="20230201")
    assert len(of(wolfi, advisory("Wolfi", "busybox", *events))) == 1


def _unseen(image: PackageList, said: OsvAdvisory) -> str:
    """Which distribution nothing is about, though there is something of another."""
    _, (told,) = scan([said], [image])
    assert told.hits == []
    assert len(told.unknown) == 1
    return told.unknown[0].partition("no advisory is about ")[2]


@pytest.mark.parametrize(
    ("os_id", "os_version", "ecosystem", "name"),
    [
        ("rhel", "9.4", "Red Hat:enterprise_linux:9::baseos", "openssl-libs"),
        ("almalinux", "9.4", "AlmaLinux:9", "openssl-libs"),
        ("rocky", "9.4", "Rocky Linux:9", "openssl"),
    ],
)
def test_rpm_is_looked_for_by_both_names(
    os_id: str, os_version: str, ecosystem: str, name: str
) -> None:
    libs = Package(
        kind="rpm",
        name="openssl-libs",
        version="1:3.0.7-27.el9",
        source="openssl",
        source_version="1:3.0.7-27.el9",
    )
    image = PackageList(os_id=os_id, os_version=os_version, packages=[libs])
    events = [{"introduced": "0"}, {"fixed": "1:3.0.7-28.el9"}]
    assert of(image, advisory(ecosystem, name, *events)) == [
        (name, libs.version, events[1]["fixed"])
    ]
    assert _unseen(image, advisory(ecosystem.replace("9", "8"), name, *events)) != ""
    done = advisory(ecosystem, name, {"introduced": "0"}, {"fixed": "0:9.9-1"})
    assert of(image, done) == []  # an older epoch


def test_what_cannot_be_compared_is_told() -> None:
    events = [{"introduced": "0"}, {"fixed": "<unfixed>"}]
    _, (told,) = scan([advisory("Debian:12", "openssl", *events)], [DEBIAN])
    assert told.hits == []
    assert told.unknown[0].startswith("A-1, openssl 3.0.11-1~deb12u2: ")
    other = msgspec.structs.replace(DEBIAN, os_id="mystery")
    _, (told,) = scan([], [other])
    assert told.unknown == ["packages of deb: of mystery nothing is known"]
    sid = msgspec.structs.replace(DEBIAN, os_version="")
    assert _unseen(sid, SEEN) == "Debian of an unknown release"
    mixed = msgspec.structs.replace(
        DEBIAN, packages=[OPENSSL, Package(kind="npm", name="@x/y", version="1.0.0")]
    )
    _, (told,) = scan([SEEN], [mixed])
    assert told.unknown == ["packages of npm: no advisory is about npm"]


def test_what_the_distribution_brought_is_its_own() -> None:
    yaml = Package(kind="pypi", name="PyYAML", version="6.0", part_of="deb python3-yaml")
    image = msgspec.structs.replace(DEBIAN, packages=[OPENSSL, yaml])
    about = advisory("PyPI", "pyyaml", {"introduced": "0"})
    assert of(image, SEEN, about) == []
    own = msgspec.structs.replace(
        image, packages=[OPENSSL, msgspec.structs.replace(yaml, part_of="")]
    )
    assert of(own, SEEN, about) == [("pyyaml", "6.0", None)]


def test_one_finding_by_two_names_is_one() -> None:
    image = PackageList(packages=[Package(kind="pypi", name="a", version="1.0")])
    events = [{"introduced": "0"}, {"fixed": "1.1"}]
    pysec, ghsa = (
        msgspec.structs.replace(advisory("PyPI", "a", *events), id=one, aliases=[other, "CVE-1"])
        for one, other in (("PYSEC-1", "GHSA-1"), ("GHSA-1", "PYSEC-1"))
    )
    ghsa.database_specific = {"severity": "HIGH"}
    other = msgspec.structs.replace(advisory("PyPI", "a", *events), id="GHSA-2")
    _, (told,) = scan([pysec, other, ghsa], [image])
    assert [(hit.id, hit.severity, hit.aliases) for hit in told.hits] == [
        ("GHSA-1", "high", ("PYSEC-1", "CVE-1")),
        ("GHSA-2", None, ()),
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {
                "severity": [
                    {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
                ]
            },
            "critical",
        ),
        (
            {
                "severity": [
                    {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:N/A:N"}
                ]
            },
            "medium",
        ),
        (
            {
                "severity": [
                    {
                        "type": "CVSS_V4",
                        "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
                    }
                ]
            },
            "critical",
        ),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:C/I:C/A:C"}]}, "high"),
        ({"severity": [{"type": "Ubuntu", "score": "negligible"}]}, "low"),
        ({"severity": [{"type": "CVSS_V3", "score": "nonsense"}]}, None),
        ({"database_specific": {"severity": "MODERATE"}}, "medium"),
        ({"database_specific": {"severity": ["?"]}}, None),
        ({}, None),
    ],
)
def test_severities(said: dict[str, Any], expected: str | None) -> None:
    about = msgspec.to_builtins(advisory("Debian:12", "openssl", {"introduced": "0"}))
    _, (told,) = scan([msgspec.convert(about | said, OsvAdvisory)], [DEBIAN])
    assert [hit.severity for hit in told.hits] == [expected]


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
    stored = bytearray((tmp_path / "all.zip").read_bytes())
    sizes = stored.index(b"PK\1\2") + 20
    stored[sizes : sizes + 8] = 2 * (5_000_000).to_bytes(4, "little")
    (tmp_path / "lies.zip").write_bytes(stored)
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("one.json", one)
    packed = bytearray((tmp_path / "lzma.zip").read_bytes())
    packed[50:54] = b"\xff" * 4
    (tmp_path / "lzma.zip").write_bytes(packed)
    for name in ("cut.zip", "lies.zip", "lzma.zip", "wrong.json", "none.json"):
        with pytest.raises(ProblemError) as raised:
            list(read_advisories(tmp_path / name))
        assert raised.value.code == "advisories.unreadable"
        assert name in raised.value.detail


def test_nothing_to_compare_is_said() -> None:
    (_, (told,)) = scan(
        [SEEN], [PackageList(packages=[Package(kind="generic", name="a", version="1")])]
    )
    assert (told.hits, len(told.unknown)) == ([], 1)


def test_releases_as_other_tools_write_them_into_sboms() -> None:
    begun = {"introduced": "0"}
    point = msgspec.structs.replace(DEBIAN, os_version="12.5")
    assert len(of(point, advisory("Debian:12", "openssl", begun))) == 1
    assert _unseen(point, advisory("Debian:1", "openssl", begun)) == "Debian 12.5"
    read = read_purl("pkg:rpm/redhat/bash@5.1.8-6.el9?arch=x86_64&distro=redhat-9.2")
    assert read is not None
    assert (read.os_id, read.os_version) == ("rhel", "9.2")


STATUS = b"Package: libssl3\nSource: openssl\nVersion: 3.0.11-1~deb12u2\nStatus: a b installed\n"
FILES = {"var/lib/dpkg/status": STATUS, "etc/os-release": b"ID=debian\nVERSION_ID=12\n"}


def written(folder: Path, *, rated: str) -> tuple[Path, Path]:
    """An image, and an advisory of this severity about it."""
    archive, file = folder / "image.tar", folder / "osv.json"
    archive.write_bytes(docker_archive([Made([tar(FILES)], ["shop:1"])]))
    events = [{"introduced": "0"}, {"fixed": "3.0.13-1~deb12u1"}]
    said = advisory("Debian:12", "openssl", *events, ecosystem_specific={"urgency": rated})
    said = msgspec.structs.replace(said, modified="2026-02-03T04:05:06Z", upstream=["CVE-2026-1"])
    file.write_bytes(msgspec.json.encode(said))
    return archive, file


def test_on_the_command_line(tmp_path: Path) -> None:
    archive, file = written(tmp_path, rated="medium")
    done = roost(tmp_path, "image", "scan", archive, "--advisories", file)
    assert done.code == 1, done
    assert done.out.split() == [
        *("ADVISORY", "SEVERITY", "PACKAGE", "VERSION", "FIXED", "IN", "ALSO"),
        *("A-1", "medium", "openssl", OPENSSL.version, "3.0.13-1~deb12u1", "CVE-2026-1"),
    ]
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.err.splitlines() == [
        "shop:1: 1 finding (1 medium) about 1 of 1 package",
        "compared with 1 advisory, the newest of 2026-02-03",
    ]
    (record,) = json.loads(
        roost(tmp_path, "image", "scan", archive, "--advisories", file, "--json").out
    )
    assert record["hits"][0]["installed"] == ["libssl3"]
    assert (record["failed"], record["newest"]) == (True, "2026-02-03T04:05:06Z")
    # Nothing about Debian is no "nothing found".
    (tmp_path / "none.json").write_text("[]")
    clean = roost(tmp_path, "image", "scan", archive, "--advisories", tmp_path / "none.json")
    assert clean.code == 1
    assert clean.err.splitlines()[:2] == [
        "shop:1: 0 findings about 0 of 1 package",
        "shop:1: not compared: packages of deb: no advisory is about Debian 12",
    ]


@pytest.mark.parametrize(
    ("rated", "fail_on", "code"),
    [
        ("medium", "any", 1),
        ("medium", "medium", 1),
        ("medium", "high", 0),
        ("critical", "high", 1),
        ("not yet assigned", "critical", 1),  # it may be
    ],
)
def test_which_severity_fails(tmp_path: Path, rated: str, fail_on: str, code: int) -> None:
    archive, file = written(tmp_path, rated=rated)
    done = roost(tmp_path, "image", "scan", archive, "--advisories", file, "--fail-on", fail_on)
    assert done.code == code, done
    assert "A-1" in done.out


def test_an_sbom_that_was_made_before(tmp_path: Path) -> None:
    archive, file = written(tmp_path, rated="low")
    made = tmp_path / "image.spdx.json"
    assert roost(tmp_path, "image", "sbom", archive, "-o", made).code == 0
    archive.unlink()
    asked = ("image", "scan", made, "--advisories", file, "--advisories", file, "--json")
    done = roost(tmp_path, *asked)
    (record,) = json.loads(done.out)
    assert (record["image"], record["packages"], record["advisories"]) == ("shop:1", 1, 2)
    assert [hit["installed"] for hit in record["hits"]] == [["libssl3"]]
    assert record["unknown"] == []
