"""From the files that were found in an image to what it needs: no I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from agent.archives.faults import shown
from agent.archives.layer_facts import COMPAT_LIBRARY, DIST_INFO, LIBRARY, FoundFile
from agent.protocol.compatibility import CompatLibrary, Found, ImageNeeds

LINKS_LIMIT = 8
CUDA_FOLDER = "usr/local/cuda"

Package = tuple[str, str, str]  # name, version, the file that says so


def add_files(needs: ImageNeeds, files: Mapping[str, FoundFile], *, problem: str = "") -> None:
    """Add what these files say. `problem`: why there may be others that are not known."""
    packages = [
        (name, version, path)
        for path, file in files.items()
        for name, version in file.packages.items()
    ]
    for path, file in files.items():
        if file.problem and not COMPAT_LIBRARY.fullmatch(path):
            problem = problem or f"/{shown(path)}: {shown(file.problem)}"
    needs.cuda = _newer(needs.cuda, _cuda(files, packages))
    needs.tensorrt = needs.tensorrt or _tensorrt(files, packages)
    needs.l4t = needs.l4t or _l4t(packages)
    needs.compat = _compat(needs, files, packages)
    needs.wants_gpu = needs.wants_gpu or bool(needs.cuda or needs.tensorrt or needs.compat)
    needs.looked_inside = not problem
    for field in ("cuda", "tensorrt", "compat"):
        if getattr(needs, field) is not None:
            needs.unknown.pop(field, None)
        elif problem:
            needs.unknown.setdefault(field, problem)


def _cuda(files: Mapping[str, FoundFile], packages: Sequence[Package]) -> Found | None:
    """The newest, for that decides what the driver must be able to."""
    found = [
        (name.removeprefix("cuda-cudart-").replace("-", "."), f"dpkg {name} in /{path}")
        for name, _, path in packages
        if name.startswith("cuda-cudart-")
    ]
    found += [(_two(version), where) for version, where in _python(files, "nvidia")]
    found = found or [(_two(version), where) for version, where in _libraries(files, "cudart")]
    return _newest(found)


def _tensorrt(files: Mapping[str, FoundFile], packages: Sequence[Package]) -> Found | None:
    found = [
        (version.partition("-")[0], f"dpkg {name} in /{path}")
        for name, version, path in packages
        if name.startswith(("libnvinfer", "tensorrt"))
    ]
    found = found or _python(files, "tensorrt")
    return _newest(found or _libraries(files, "nvinfer"))


def _l4t(packages: Sequence[Package]) -> Found | None:
    """Jetson Linux has packages of its own; 36.4.0-20240912212859 is its 36.4.0."""
    return _newest(
        [
            (version.partition("-")[0], f"dpkg {name} in /{path}")
            for name, version, path in packages
            if name.startswith("nvidia-l4t-")
        ]
    )


def _python(files: Mapping[str, FoundFile], begins: str) -> list[tuple[str, str]]:
    found = [(path, DIST_INFO.fullmatch(path)) for path in files]
    return [
        (match[3], f"/{path}")
        for path, match in found
        if match and match[2].lower().startswith(begins)
    ]


def _libraries(files: Mapping[str, FoundFile], name: str) -> list[tuple[str, str]]:
    found = [(path, LIBRARY.fullmatch(path)) for path in files]
    return [(match[2], f"/{path}") for path, match in found if match and match[1] == name]


def _newest(found: Sequence[tuple[str, str]]) -> Found | None:
    best = max(found, key=lambda one: (_order(one[0]), one), default=None)
    return None if best is None else Found(version=best[0], where=shown(best[1]))


def _newer(said: Found | None, there: Found | None) -> Found | None:
    """What the config says, unless a newer runtime lies in the layers: then the name of the base
    image is told there, and what came with Python decides (seen: 11.8 with a PyTorch for 12.1)."""
    if said is None or there is None:
        return said or there
    return there if _order(_two(there.version)) > _order(_two(said.version)) else said


def _order(version: str) -> list[int]:
    return [int(part) if part.isdecimal() else -1 for part in version.split(".")]


def _two(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _compat(
    needs: ImageNeeds, files: Mapping[str, FoundFile], packages: Sequence[Package]
) -> CompatLibrary | None:
    """The one that the toolkit would take: below /usr/local/cuda, where there are several."""
    paths = [path for path in files if COMPAT_LIBRARY.fullmatch(path)]
    chosen = paths
    if len(paths) > 1:
        folder = _behind(CUDA_FOLDER, files) + "/"
        chosen = [path for path in paths if path.startswith(folder)]
    if len(chosen) == 1:
        return _library(needs, chosen[0], files)
    installed = [each for each in packages if each[0].startswith("cuda-compat-")]
    if paths:
        several = ", ".join(f"/{shown(path)}" for path in sorted(paths)[:4])
        needs.unknown["compat"] = f"which of these is used is not known: {several}"
    elif installed:
        name, version, _ = installed[0]
        what = f"the package {name} {version} is installed, but no libcuda of it was found"
        needs.unknown["compat"] = what
    return None


def _library(needs: ImageNeeds, path: str, files: Mapping[str, FoundFile]) -> CompatLibrary | None:
    match = COMPAT_LIBRARY.fullmatch(path)
    content = _behind(path, files)
    file = files.get(content)
    if match is None:
        return None
    linked = file is None or file.target
    problem = f"it is a link to /{shown(content)}, which is not looked into" if linked else ""
    if problem := problem or (file.problem if file is not None else ""):
        needs.unknown["compat_note"] = f"/{shown(path)}: {problem}"
    note = None if file is None else file.note
    return CompatLibrary(
        path=f"/{shown(path)}",
        driver_version=match[1],
        cuda_version=None if note is None else note.cuda_version,
        drivers=None if note is None else note.drivers,
        devices=None if note is None else note.devices,
    )


def _behind(path: str, files: Mapping[str, FoundFile]) -> str:
    """What a link means in the end."""
    for _ in range(LINKS_LIMIT):
        file = files.get(path)
        if file is None or not file.target:
            break
        path = _target(path, file)
    return path


def _target(path: str, file: FoundFile) -> str:
    if file.hard or file.target.startswith("/"):
        return posixpath.normpath(file.target).lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), file.target)).lstrip("/")
