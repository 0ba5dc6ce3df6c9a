"""A kit: wheels for every Python that it is for, the installer, and a list with their digests.

The file is a zip that `python3` runs. Whoever reads it finds `kit.json` first: format, version,
id, arch, glibc, and of each file path, sha256, bytes, unpacked_bytes and pythons (null: for all).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import agent
from agent.archives.kits import write_zip
from agent.durable import appearing, sync, sync_folder
from agent.protocol.kits import ABOUT, FORMAT, MAIN, KitAbout, KitFile
from agent.protocol.problems import ProblemError
from console.kits.locked import locked_file, locked_for
from console.kits.wheels import PYTHONS, Wheel, fetch_wheels, own_wheel, packed

_BESIDE = ("agent.yaml", "roost-agent.service", "start.py")
# Read as data: this side never imports it.
_FOLDER = Path(agent.__file__).parent / "kit"


def installer_source() -> bytes:
    """The installer, which Python 3.6 and newer run with nothing beside it."""
    return (_FOLDER / "installer.py").read_bytes()


def make_kit(
    folder: Path,
    *,
    arch: str,
    pythons: Sequence[str] = PYTHONS,
    wheels: Path | None = None,
    say: Callable[[str], None],
) -> tuple[Path, KitAbout]:
    """Write `roost-agent-VERSION-ARCH.pyz` into a folder. Blocks for some ten seconds.

    Args:
        wheels: where the wheels are taken from; None: pip gets them.

    Raises:
        ProblemError: `kit.*`.
    """
    locked = locked_file().read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="roost-kit-") as work:
        found: dict[Path, tuple[Wheel, list[str]]] = {}
        for python in pythons:
            say(f"wheels for Python {python} on {arch}")
            wanted = locked_for(locked, python=python, arch=arch)
            for wheel in fetch_wheels(
                wanted, python=python, arch=arch, folder=Path(work) / python, wheels=wheels
            ):
                # The same name is the same wheel: its hash is locked.
                first = found.setdefault(Path(wheel.path.name), (wheel, []))
                first[1].append(python)
        found[Path("roost")] = (own_wheel(Path(work)), list(pythons))
        return _write(folder, arch, len(pythons), list(found.values()))


def _write(
    folder: Path, arch: str, pythons: int, wheels: list[tuple[Wheel, list[str]]]
) -> tuple[Path, KitAbout]:
    contents: list[tuple[str, bytes]] = [(name, (_FOLDER / name).read_bytes()) for name in _BESIDE]
    listed = [_listed(name, data, len(data), None) for name, data in contents]
    for wheel, named in wheels:
        data, unpacked = packed(wheel.path)
        name = f"wheels/{wheel.path.name}"
        contents.append((name, data))
        listed.append(_listed(name, data, unpacked, None if len(named) == pythons > 1 else named))
    needs = max((wheel.glibc for wheel, _ in wheels if wheel.glibc), default=(2, 17))
    version = importlib.metadata.version("roost")
    installer = installer_source()
    digest = hashlib.sha256(installer + msgspec.json.encode(listed)).hexdigest()
    about = KitAbout(
        format=FORMAT,
        version=version,
        id=f"{version}-{digest[:8]}",
        arch=arch,
        glibc=".".join(map(str, needs)),
        files=listed,
    )
    first = [(MAIN, installer), (ABOUT, msgspec.json.encode(about))]
    path = folder / f"roost-agent-{version}-{arch}.pyz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(path, mode=0o644) as file:
            # Wheels are compressed already.
            write_zip(file, [*first, *contents], compress=False)
            sync(file)
        sync_folder(folder)
    except OSError as error:
        raise ProblemError(
            "kit.write", f"{path}: {error.strerror}", hint="Give a folder you may write to: -o."
        ) from None
    return path, about


def _listed(name: str, data: bytes, unpacked: int, pythons: list[str] | None) -> KitFile:
    return KitFile(
        path=name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        unpacked_bytes=unpacked,
        pythons=pythons,
    )
