"""CDI specifications for NVIDIA devices: which devices they name, and for which driver.

A container runtime takes every `*.yaml` and `*.json` of its CDI directories; those of other
makers are left out here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from agent.host.reading import read_text
from agent.host.real_paths import here
from agent.protocol.problems import ProblemError
from agent.yaml_text import read_document

# Where runtimes look unless told otherwise; the second is empty after a boot.
SPEC_DIRS = ("/etc/cdi", "/var/run/cdi")
VENDOR = "nvidia.com/"
GPU_KIND = "nvidia.com/gpu"

# "libcuda.so.535.183.01": the driver's libraries carry its version in their names.
_VERSIONED = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)?)$")


class CdiSpec(msgspec.Struct, kw_only=True, frozen=True):
    """One specification file. `reason` says why it could not be read."""

    path: str
    kind: str | None = None  # "nvidia.com/gpu"
    devices: tuple[str, ...] = ()  # "0", "GPU-...", "all"
    driver_versions: tuple[str, ...] = ()  # of the libraries it mounts; normally one
    reason: str | None = None


def read_cdi_specs(root: Path = Path("/"), dirs: Iterable[str] = SPEC_DIRS) -> list[CdiSpec]:
    """NVIDIA's specifications in `dirs` below `root`, in the order runtimes take them.

    Never raises. A file that cannot be read or parsed is listed with its reason, since it may
    be NVIDIA's.
    """
    specs: list[CdiSpec] = []
    for folder in dict.fromkeys(dirs):
        for path in _files(here(folder, root)):
            spec = _read_spec(path, shown=f"{folder.rstrip('/')}/{path.name}")
            if spec.reason is not None or (spec.kind or "").startswith(VENDOR):
                specs.append(spec)
    return specs


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".json"))
    except OSError:  # no such folder: no specs in it
        return []


def _read_spec(path: Path, *, shown: str) -> CdiSpec:
    text, reason = read_text(path)
    if text is None:
        return CdiSpec(path=shown, reason=reason)
    try:
        document = json.loads(text) if path.suffix == ".json" else read_document(text, file=shown)
    except (ValueError, RecursionError) as error:
        return CdiSpec(path=shown, reason=f"not valid: {str(error).splitlines()[0]}")
    except ProblemError as problem:
        return CdiSpec(path=shown, reason=f"not valid: {problem.detail}")
    if not isinstance(document, dict):
        return CdiSpec(path=shown, reason="not valid: no mapping at the top")
    devices = [device for device in _list(document.get("devices")) if isinstance(device, dict)]
    edits = [document.get("containerEdits"), *(device.get("containerEdits") for device in devices)]
    return CdiSpec(
        path=shown,
        kind=str(document.get("kind", "")),
        devices=tuple(str(device.get("name", "")) for device in devices),
        driver_versions=tuple(dict.fromkeys(_driver_versions(edits))),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _driver_versions(edits: Iterable[object]) -> Iterable[str]:
    for edit in edits:
        for mount in _list(edit.get("mounts")) if isinstance(edit, dict) else []:
            path = str(mount.get("hostPath", "")) if isinstance(mount, dict) else ""
            name = path.rpartition("/")[2]
            if name.startswith(("libcuda.so.", "libnvidia-ml.so.")) and (
                version := _VERSIONED.search(name)
            ):
                yield version[1]
