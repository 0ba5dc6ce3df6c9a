"""Small kits, made of small wheels: what is tried is the kit, not the agent in it."""

from __future__ import annotations

import hashlib
import io
import platform
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agent.archives.kits import write_zip
from agent.protocol.decoding import from_json
from agent.protocol.kits import FORMAT, KitAbout, KitFile

INSTALLER = Path(__file__).parent.parent / "agent" / "kit" / "installer.py"
TOLD = "the agent says hello"


def small_wheel(folder: Path, *, name: str = "hello-1-py3-none-any.whl", says: str = TOLD) -> Path:
    """A wheel with an `agent` that says one line."""
    path = folder / name
    main = f"def main():\n    print({says!r})\n".encode()
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
    says: str = TOLD,
) -> Path:
    """A kit with that wheel; `wheel` is what lies in the file instead of what the list says."""
    data = small_wheel(folder, says=says).read_bytes()
    contents = [
        ("agent.yaml", b"{}\n"),
        ("roost-agent.service", b"[Service]\nExecStart=/bin/true\n"),
        ("start.py", INSTALLER.with_name("start.py").read_bytes()),
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


def other_version(
    kit: Path,
    folder: Path,
    version: str,
    changes: Mapping[str, Callable[[bytes], bytes]] | None = None,
) -> Path:
    """A real kit as another version, in whose `roost` wheel these files are other ones."""
    with zipfile.ZipFile(kit) as whole:
        contents = [(name, whole.read(name)) for name in whole.namelist()]
    files = dict(contents)
    about = from_json(files.pop("kit.json"), KitAbout)
    for file in about.files:
        if file.path.startswith("wheels/roost-"):
            wheel = _changed(files.pop(file.path), about.version, version, changes or {})
            files[file.path] = wheel
            file.sha256, file.bytes = hashlib.sha256(wheel).hexdigest(), len(wheel)
    about.version, about.id = version, f"{version}-{'0' * 8}"
    path = folder / f"kit-{version}.pyz"
    first = [("__main__.py", files.pop("__main__.py")), ("kit.json", msgspec.json.encode(about))]
    write_zip(path, [*first, *files.items()], compress=False)
    return path


def _changed(
    wheel: bytes, was: str, version: str, changes: Mapping[str, Callable[[bytes], bytes]]
) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    for name, change in changes.items():
        files[name] = change(files[name])
    info = f"roost-{was}.dist-info"
    files[f"{info}/METADATA"] = files[f"{info}/METADATA"].replace(
        f"\nVersion: {was}".encode(), f"\nVersion: {version}".encode()
    )
    new = f"roost-{version}.dist-info"
    renamed = [(name.replace(info, new), data) for name, data in files.items()]
    made = io.BytesIO()
    write_zip(made, renamed, compress=True)
    return made.getvalue()
