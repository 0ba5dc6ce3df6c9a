"""What is installed on a machine: as its own tools say, and below any root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.archives.package_lists import NO_DATABASE
from agent.host.packages import host_packages
from agent.protocol.packages import PackageList
from tests.rpm_made import Made, rpmdb

pytestmark = pytest.mark.timeout(60)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg")
def test_this_machine_as_dpkg_says() -> None:
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version}\\n"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    expected = [line.split()[1:] for line in told.splitlines() if line.startswith("installed ")]
    found = [[each.name, each.version] for each in host_packages().packages if each.kind == "deb"]
    assert sorted(found) == sorted(expected)


def test_python_npm_and_the_agents_own(tmp_path: Path) -> None:
    root, own = tmp_path / "root", tmp_path / "own"
    write(
        root,
        {
            "etc/os-release": "ID=debian\nVERSION_ID=12\n",
            "var/lib/dpkg/status": "Package: libc6\nVersion: 2.36-9\n",
            "var/lib/dpkg/info/python3-a.list": "/usr/lib/python3/dist-packages/a-1.egg-info\n",
            "usr/lib/python3/dist-packages/a-1.egg-info": "Name: a\nVersion: 1\n",
            "usr/local/lib/python3.11/site-packages/b-2.dist-info/METADATA": "Name: b\nVersion: 2",
            "usr/lib/node_modules/@x/c/package.json": '{"name": "@x/c", "version": "3"}',
            "usr/lib/node_modules/@x/c/node_modules/d/package.json": '{"name":"d","version":"4"}',
            "home/somebody/lib/e-5.dist-info/METADATA": "Name: e\nVersion: 5\n",
        },
    )
    write(own, {"roost-1.dist-info/METADATA": "Name: roost\nVersion: 1\n"})
    found = host_packages(root, [own])
    assert (found.os_id, found.os_version, found.unknown) == ("debian", "12", [])
    assert [(each.kind, each.name, each.part_of) for each in found.packages] == [
        ("deb", "libc6", ""),
        ("npm", "@x/c", ""),
        ("npm", "d", ""),
        ("pypi", "a", "deb python3-a"),
        ("pypi", "b", ""),
        ("pypi", "roost", ""),
    ]


@pytest.mark.real("rpm")
def test_rpm_by_its_newer_place(tmp_path: Path) -> None:
    root = tmp_path / "root"
    made = rpmdb(tmp_path, [Made("glibc", "2.34", "100.el9")])
    where = root / "usr/lib/sysimage/rpm"
    where.parent.mkdir(parents=True)
    made.rename(where)
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/rpm").symlink_to("/usr/lib/sysimage/rpm")
    before = sorted(each.name for each in where.iterdir())
    found = host_packages(root)
    assert [each.name for each in found.packages] == ["glibc", "glibc-libs"]
    assert found.unknown == []
    assert sorted(each.name for each in where.iterdir()) == before


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert host_packages(tmp_path) == PackageList(unknown=[NO_DATABASE])
    write(tmp_path, {"var/lib/rpm/Packages": "x"})
    (tmp_path / "var/lib/dpkg").mkdir()
    (tmp_path / "var/lib/dpkg/status").symlink_to("status")
    first, second = sorted(host_packages(tmp_path).unknown)
    assert first.startswith("/var/lib/dpkg/status: it cannot be read: Too many levels")
    assert "Berkeley DB" in second


def test_linked_projects_and_pipes_end(tmp_path: Path) -> None:
    modules = tmp_path / "usr/lib/node_modules"
    for name in "abc":
        write(modules, {f"{name}/package.json": f'{{"name": "{name}", "version": "1"}}'})
        (modules / name / "node_modules").symlink_to("/usr/lib/node_modules")
    python = tmp_path / "usr/lib/python3/dist-packages/x.dist-info"
    python.mkdir(parents=True)
    os.mkfifo(python / "METADATA")
    assert [each.name for each in host_packages(tmp_path).packages] == ["a", "b", "c"]
