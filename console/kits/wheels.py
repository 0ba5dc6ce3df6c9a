"""Wheels: fetched with pip for another Python and another architecture, or made of this Roost."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import agent
from agent.archives.kits import write_zip
from agent.protocol.problems import ProblemError

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ARCHES = ("x86_64", "aarch64")
# Debian 10, Ubuntu 20.04 and JetPack 5 have at least these; a kit says which of them it needs.
GLIBCS = (28, 27, 26, 24, 17, 12, 5)
# Half of zstandard, and never loaded: CPython takes the other half (zstandard/__init__.py).
NOT_NEEDED = re.compile(r"zstandard/_cffi[^/]*\.so")


class Wheel(NamedTuple):
    """One wheel file, and what it needs."""

    path: Path
    glibc: tuple[int, int] | None  # None: it has no machine code


def fetch_wheels(
    locked: str, *, python: str, arch: str, folder: Path, wheels: Path | None
) -> list[Wheel]:
    """What pip finds for these requirements, checked against their hashes. Blocks for seconds.

    Args:
        wheels: a folder to take them from; None: from where pip gets its packages.

    Raises:
        ProblemError: `kit.wheels`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tag = "cp" + python.replace(".", "")
    argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    argv += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--implementation", "cp"]
    argv += ["--python-version", python, "--abi", tag, "--abi", "abi3", "--abi", "none"]
    for minor in GLIBCS:
        argv += ["--platform", f"manylinux_2_{minor}_{arch}"]
    argv += ["--platform", f"manylinux2014_{arch}", "--platform", "any", "--dest", str(folder)]
    if wheels is not None:
        argv += ["--no-index", "--find-links", str(wheels)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked)
        file.flush()
        done = subprocess.run(
            [*argv, "--requirement", file.name], capture_output=True, text=True, check=False
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ProblemError(
            "kit.wheels",
            f"Python {python} on {arch}: {(said or [done.stderr.strip() or 'pip failed'])[-1]}",
            params={"python": python, "arch": arch},
            hint="Is there a network? Without one: --wheels FOLDER with the wheels in it.",
        )
    return [Wheel(path, glibc_of(path.name)) for path in sorted(folder.glob("*.whl"))]


def glibc_of(name: str) -> tuple[int, int] | None:
    """The oldest glibc that a wheel's file name says it runs on; None: it says none."""
    tags = re.findall(r"manylinux_(\d+)_(\d+)_", name)
    found = [(int(major), int(minor)) for major, minor in tags]
    if "manylinux2014_" in name:
        found.append((2, 17))
    return min(found, default=None)


def packed(wheel: Path) -> tuple[bytes, int]:
    """A wheel as a kit carries it, without what is not needed; its bytes, and how many unpacked."""
    with zipfile.ZipFile(wheel) as source:
        files = [
            (entry.filename, source.read(entry))
            for entry in source.infolist()
            if not entry.is_dir() and not NOT_NEEDED.fullmatch(entry.filename)
        ]
    file = io.BytesIO()
    write_zip(file, files, compress=True)
    return file.getvalue(), sum(len(data) for _, data in files)


def own_wheel(folder: Path) -> Wheel:
    """The agent of this very Roost as a wheel: no build, no network. Blocks."""
    about = importlib.metadata.distribution("roost")
    path = folder / f"roost-{about.version}-py3-none-any.whl"
    package = Path(agent.__file__).parent
    files = {
        f"agent/{source.relative_to(package)}": source.read_bytes()
        for source in sorted(package.rglob("*"))
        if source.is_file() and "__pycache__" not in source.parts
    }
    info = f"roost-{about.version}.dist-info"
    files[f"{info}/METADATA"] = (about.read_text("METADATA") or "").encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: roost\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nroost-agent = agent.cli.main:main\n"
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    write_zip(path, list(files.items()), compress=True)
    return Wheel(path, None)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
