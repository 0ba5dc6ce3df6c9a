"""A database of rpm's, written by rpm itself, of small packages that rpmbuild made."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SPEC = """\
Name: {name}
Version: {version}
Release: {release}
{epoch}Summary: made for a test
License: none
BuildArch: noarch
%description
Made for a test.
%package -n {name}-libs
Summary: its libraries
%description -n {name}-libs
Made for a test.
%install
mkdir -p {folders}
for file in {files}; do echo made >%{{buildroot}}/$file; done
%files
{listed}
%files -n {name}-libs
"""
EGG = "/usr/lib/python3.9/site-packages/{name}-1.0-py3.9.egg-info"


class Made(NamedTuple):
    name: str
    version: str
    release: str
    epoch: int = 0
    files: tuple[str, ...] = ()


def rpmdb(folder: Path, packages: Sequence[Made]) -> Path:
    """The folder of a database that has these and, of each, NAME-libs."""
    where = folder / "rpmdb"
    _run(folder, "rpm", "--dbpath", str(where), "--initdb")
    for made in packages:
        files = made.files or (f"/usr/share/{made.name}",)
        spec = folder / f"{made.name}.spec"
        spec.write_text(
            SPEC.format(
                **made._asdict()
                | {
                    "epoch": f"Epoch: {made.epoch}\n" if made.epoch else "",
                    "folders": " ".join(f"%{{buildroot}}{Path(each).parent}" for each in files),
                    "files": " ".join(files),
                    "listed": "\n".join(files),
                }
            )
        )
        _run(folder, "rpmbuild", "-bb", "--define", f"_topdir {folder / 'build'}", str(spec))
    built = sorted(map(str, (folder / "build/RPMS").rglob("*.rpm")))
    install = ("rpm", "--dbpath", str(where), "--install", "--justdb", "--nodeps")
    _run(folder, *install, "--ignorearch", "--ignoreos", *built)
    return where


def told_by_rpm(where: Path) -> list[str]:
    """NAME EPOCH:VERSION-RELEASE ARCH SOURCE of each, as rpm has them."""
    wanted = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\\n"
    ask = ("rpm", "--dbpath", str(where), "--query", "--all", "--queryformat", wanted)
    return sorted(_run(where, *ask).splitlines())


def _run(home: Path, *command: str) -> str:
    environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout
