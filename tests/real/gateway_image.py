"""A traffic gateway's image made of this machine's HAProxy and its libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.real.runtime import PrivateRuntime

IMAGE = "roost-test/traffic-gateway:1"


def load(runtime: PrivateRuntime) -> str:
    """Make the image there; its name."""
    found = shutil.which("haproxy")
    assert found is not None
    haproxy = Path(found).resolve()
    said = subprocess.run(["ldd", str(haproxy)], capture_output=True, text=True, check=True).stdout
    libraries = sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(", said, re.MULTILINE)))
    root = runtime.folder / "gateway.tar"
    with tarfile.open(root, "w") as tar:
        tar.add(haproxy, "usr/sbin/haproxy", recursive=False)
        for library in libraries:
            tar.add(Path(library).resolve(), library.lstrip("/"), recursive=False)
        for folder in ("tmp", "proc", "sys", "dev", "roost"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    runtime.docker("import", "--change", "ENV PATH=/usr/sbin", str(root), IMAGE)
    root.unlink()
    return IMAGE
