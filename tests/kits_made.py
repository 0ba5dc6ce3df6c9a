"""Small kits, made of small wheels: what is tried is the kit, not the agent in it."""

from __future__ import annotations

import hashlib
import platform
import zipfile
from pathlib import Path

import msgspec

from console.kits.making import FORMAT, KitAbout, KitFile
from console.kits.wheels import write_zip

INSTALLER = Path(__file__).parent.parent / "agent" / "kit" / "installer.py"
TOLD = "the agent says hello"


def small_wheel(folder: Path, *, name: str = "hello-1-py3-none-any.whl") -> Path:
    """A wheel with an `agent` that says one line."""
    path = folder / name
    main = f"def main():\n    print({TOLD!r})\n".encode()
    write_zip(
        path,
        [
            ("agent/__init__.py", b""),
            ("agent/cli/__init__.py", b""),
            ("agent/cli/main.py", main),
            ("hello-1.data/purelib/beside.py", b"SO = True\n"),
            ("hello-1.data/scripts/hello", b"#!python\n"),
        ],
        compress=True,
    )
    return path


def small_kit(
    folder: Path,
    *,
    arch: str | None = None,
    pythons: list[str] | None = None,
    version: str = "1.0.0",
    wheel: bytes | None = None,
    glibc: str = "2.17",
) -> Path:
    """A kit with that wheel; `wheel` is what lies in the file instead of what the list says."""
    data = small_wheel(folder).read_bytes()
    contents = [
        ("agent.yaml", b"{}\n"),
        ("roost-agent.service", b"[Service]\nExecStart=/bin/true\n"),
        ("wheels/hello-1-py3-none-any.whl", data),
    ]
    files = [
        KitFile(
            path=name,
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            unpacked_bytes=len(content),
            pythons=(pythons or ["3.10", "3.11", "3.12", "3.13"]) if "wheels" in name else None,
        )
        for name, content in contents
    ]
    about = KitAbout(
        format=FORMAT,
        version=version,
        id=f"{version}-abc",
        arch=arch or platform.machine(),
        glibc=glibc,
        files=files,
    )
    if wheel is not None:
        contents[-1] = (contents[-1][0], wheel)
    path = folder / f"kit-{version}.pyz"
    first = [("__main__.py", INSTALLER.read_bytes()), ("kit.json", msgspec.json.encode(about))]
    write_zip(path, [*first, *contents], compress=False)
    assert zipfile.is_zipfile(path)
    return path
