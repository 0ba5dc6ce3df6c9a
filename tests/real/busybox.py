"""A small real image: this machine's busybox with its applets, a shell, httpd and nc among them."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

IMAGE = "roost-test/busybox:1"
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
    "etc/group": "root:x:0:\n",
}
FOLDERS = ("tmp", "proc", "sys", "dev")


def write_root(path: Path) -> None:
    """Write the image's one layer, a root file system, as a tar file of some 2 MB."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("no busybox in PATH")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    with tarfile.open(path, "w") as tar:
        for name in FOLDERS:
            tar.addfile(_entry(name, tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755))
        for name, text in FILES.items():
            _add_bytes(tar, name, text.encode(), mode=0o644)
        _add_bytes(tar, "bin/busybox", Path(busybox).read_bytes(), mode=0o755)
        for library in _libraries(busybox):
            _add_bytes(tar, library.lstrip("/"), Path(library).read_bytes(), mode=0o755)
        for applet in applets.stdout.split():
            if applet != "busybox":
                link = _entry(f"bin/{applet}", tarfile.SYMTYPE, mode=0o777)
                link.linkname = "busybox"
                tar.addfile(link)


def _libraries(program: str) -> list[str]:
    """What a busybox that is not static needs; ldd fails for one that is."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(?:=> |^\s*)(/\S+)", said, re.MULTILINE)


def _entry(name: str, kind: bytes, *, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode=mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
