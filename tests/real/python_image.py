"""Real images made of this machine's Python: with NVIDIA's TensorRT-RTX in it, and without."""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.real.runtime import PrivateRuntime

WITH_TENSORRT = "roost-test/tensorrt-rtx:1"
WITHOUT_TENSORRT = "roost-test/python:1"
# As many images have one: not root, and not known on the machine.
USER = "12345:12345"
PACKAGES = ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_libs")
# Parts of glibc and of gcc that this machine's Python itself need not load.
_OF_WHEELS = (
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libm.so.6"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
_LEFT_OUT = {
    "__pycache__",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tkinter",
    "turtledemo",
}


def load_plain(runtime: PrivateRuntime) -> None:
    """Make the one without TensorRT there."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    _import(runtime, WITHOUT_TENSORRT, [(stdlib, stdlib)])


def load(runtime: PrivateRuntime) -> None:
    """Make both images there."""
    load_plain(runtime)
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    packages = [(_folder_of(name), stdlib / "site-packages" / name) for name in PACKAGES]
    _import(runtime, WITH_TENSORRT, [(stdlib, stdlib), *packages])


def plain_root(root: Path) -> None:
    """The files of the one without TensorRT, as a tar, and libraries that wheels load."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    folder = Path("/lib") / str(sysconfig.get_config_var("MULTIARCH"))
    found = [folder / name for name in _OF_WHEELS]
    _write(root, [(stdlib, stdlib)], [each for each in found if each.exists()])


def _import(runtime: PrivateRuntime, name: str, trees: Iterable[tuple[Path, Path]]) -> None:
    root = runtime.folder / "python.tar"
    _write(root, trees)
    changes = ["--change", "ENV PATH=/usr/bin:/bin", "--change", f"USER {USER}"]
    runtime.docker("import", *changes, str(root), name, seconds=300)
    root.unlink()


def _write(root: Path, trees: Iterable[tuple[Path, Path]], libraries: Sequence[Path] = ()) -> None:
    python = Path(sys.executable).resolve()
    files = {python: python}
    for source, target in trees:
        files |= {file: target / file.relative_to(source) for file in _files_of(source)}
    with tarfile.open(root, "w") as tar:
        for file, target in files.items():
            tar.add(file, str(target).lstrip("/"), recursive=False)
        for library in sorted({*_libraries(files), *libraries}):
            tar.add(library.resolve(), str(library).lstrip("/"), recursive=False)
        for folder in ("tmp", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, str(python)
        tar.addfile(link)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size, entry.mode = len(passwd), 0o644
        tar.addfile(entry, io.BytesIO(passwd))


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None, package
    assert spec.origin is not None, package
    return Path(spec.origin).parent


def _files_of(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.is_dir() and each.name not in _LEFT_OUT and not each.name.startswith("config-"):
            yield from _files_of(each)
        elif each.is_file():
            yield each


def _libraries(files: Iterable[Path]) -> list[Path]:
    """What programs and modules among the files load from elsewhere, the loader too."""
    python = Path(sys.executable).resolve()
    binaries = [str(file) for file in files if ".so" in file.suffixes or file == python]
    said = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(", said, re.MULTILINE)}
    return sorted(found - set(files))
