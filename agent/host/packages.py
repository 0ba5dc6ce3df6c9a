"""What is installed on the machine itself: its distribution's packages, and projects of Python."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.archives.faults import FaultError
from agent.archives.package_files import (
    APK,
    OS_RELEASE,
    PackageFile,
    reader_of,
)
from agent.archives.package_lists import package_list
from agent.archives.sources import FileSource
from agent.host.real_paths import ROOT, below, real_path
from agent.protocol.packages import PackageList

_RPM_FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_FIXED = (
    *OS_RELEASE,
    "var/lib/dpkg/status",
    *APK,
    *(
        f"{folder}/{name}"
        for folder in _RPM_FOLDERS
        for name in ("rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages")
    ),
    "var/lib/pacman/local/ALPM_DB_VERSION",
    "usr/lib/opkg/status",
    "var/lib/opkg/status",
    "opt/conda/conda-meta/history",
    "usr/local/cuda/version.json",
)
_LISTED = ("var/lib/dpkg/status.d", "var/lib/dpkg/info")  # each of their files
# Where distributions, and whoever installs for the whole machine, put projects of Python.
_PYTHONS = ("usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64")
_PYTHON = re.compile(r"python3(?:\.[0-9]+)?")
_PROJECTS = ("dist-packages", "site-packages")
_MODULES = ("usr/lib/node_modules", "usr/local/lib/node_modules")


def host_packages(root: Path = ROOT, own: Sequence[Path] = ()) -> PackageList:
    """The packages of the machine whose root is `root`. Blocks; never raises.

    Args:
        own: Folders with this process's own projects of Python, as it has them.
    """
    files: dict[str, PackageFile] = {}
    seen: set[tuple[int, int]] = set()
    for path in _candidates(root):
        _take(files, seen, path, root)
    for folder in own:
        for path in _projects(str(folder).lstrip("/"), ROOT):
            _take(files, seen, path, ROOT)
    return package_list(files)


def _candidates(root: Path) -> Iterator[str]:
    yield from _FIXED
    for folder in _LISTED:
        yield from (f"{folder}/{name}" for name in _names(folder, root))
    for folder in _PYTHONS:
        for python in _names(folder, root):
            if _PYTHON.fullmatch(python):
                for kind in _PROJECTS:
                    yield from _projects(f"{folder}/{python}/{kind}", root)
    seen: set[Path] = set()
    for folder in _MODULES:
        yield from _modules(folder, root, seen)


def _projects(folder: str, root: Path) -> Iterator[str]:
    for name in _names(folder, root):
        if name.endswith(".dist-info"):
            yield f"{folder}/{name}/METADATA"
        elif name.endswith(".egg-info"):
            yield f"{folder}/{name}"
            yield f"{folder}/{name}/PKG-INFO"
        elif name.endswith(".egg"):
            yield f"{folder}/{name}/EGG-INFO/PKG-INFO"


def _modules(folder: str, root: Path, seen: set[Path]) -> Iterator[str]:
    """`seen` are folders that were looked into: those of linked projects lead to each other."""
    try:
        where = real_path(f"/{folder}", root)
    except OSError:
        return
    if where in seen:
        return
    seen.add(where)
    for name in _names(folder, root):
        if name.startswith("@"):
            yield from _modules(f"{folder}/{name}", root, seen)
        elif not name.startswith("."):
            yield f"{folder}/{name}/package.json"
            yield from _modules(f"{folder}/{name}/node_modules", root, seen)


def _names(folder: str, root: Path) -> list[str]:
    try:
        return sorted(os.listdir(below(real_path(f"/{folder}", root), root)))  # noqa: PTH208 - names
    except OSError:
        return []


def _take(files: dict[str, PackageFile], seen: set[tuple[int, int]], path: str, root: Path) -> None:
    """Read it, unless it is not there, or was read by another of its names."""
    read = reader_of(path)
    if read is None:
        return
    file = PackageFile()
    try:
        # As it may be a pipe that nobody writes to.
        handle = os.open(below(real_path(f"/{path}", root), root), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as opened:
            about = os.fstat(opened.fileno())
            known = (about.st_dev, about.st_ino) in seen
            if known or not stat.S_ISREG(about.st_mode):
                return
            seen.add((about.st_dev, about.st_ino))
            read(file, FileSource(opened, about.st_size))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        file.problem = f"it cannot be read: {error.strerror or error}"
    except FaultError as fault:
        file.problem = fault.what
    files[path] = file
