"""A container's control group: where it is, and what it says of CPU, memory and processes.

Cgroup v1, v2, and v1 with an empty v2 tree beside it ("hybrid"); Docker and Podman, with the
cgroupfs and the systemd driver. Sources: cpuacct.usage (ns) or cpu.stat's usage_usec;
memory.usage_in_bytes or memory.current, less inactive_file of memory.stat, as `docker stats`
counts; memory.limit_in_bytes or memory.max; pids.current, which counts threads.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

TREE = "sys/fs/cgroup"
_TREE_DEPTH = 6
# v1 says "no limit" with the largest page-aligned number; nothing real comes near it.
_NO_LIMIT_BYTES = 1 << 60
_STAT_READ_BYTES = 8192


class CgroupPlace(msgspec.Struct, kw_only=True, frozen=True):
    """The folders of one container, one per controller; on v2 all are the same."""

    cpu: Path
    memory: Path
    pids: Path | None
    v2: bool


class CgroupReading(msgspec.Struct, kw_only=True, frozen=True):
    """What the files said. `cpu_ns` counts up from the container's start."""

    cpu_ns: int
    memory_used_bytes: int
    memory_limit_bytes: int | None
    process_count: int | None


def find_cgroup(root: Path, container_id: str, pid: int | None) -> CgroupPlace | None:
    """Where the figures of a container are; None where they cannot be seen from here."""
    tree = root / TREE
    groups = _groups_of(root, pid) if pid else {}
    v2 = (tree / "cgroup.controllers").exists()
    if v2:
        folder = _folder(tree, groups.get("", ""), container_id)
        if folder is None or not (folder / "memory.current").exists():
            return None
        return CgroupPlace(cpu=folder, memory=folder, pids=folder, v2=True)
    cpu = _folder_v1(tree, groups, "cpuacct", container_id)
    memory = _folder_v1(tree, groups, "memory", container_id)
    if cpu is None or memory is None:
        return None
    return CgroupPlace(
        cpu=cpu, memory=memory, pids=_folder_v1(tree, groups, "pids", container_id), v2=False
    )


def _groups_of(root: Path, pid: int) -> dict[str, str]:
    """Controller to path, of a process; "" is the v2 group."""
    groups = {}
    with contextlib.suppress(OSError):
        for line in (root / f"proc/{pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for name in names.split(","):
                groups[name] = path
    return groups


def _folder_v1(
    tree: Path, groups: dict[str, str], controller: str, container_id: str
) -> Path | None:
    for mounted in (controller, "cpu,cpuacct", "cpuacct,cpu"):
        if controller in mounted.split(",") and (tree / mounted).is_dir():
            return _folder(tree / mounted, groups.get(controller, ""), container_id)
    return None


def _folder(base: Path, group: str, container_id: str) -> Path | None:
    """The container's own folder. A pid alone proves nothing: the path must name the container.

    Programs move themselves deeper (systemd inside a container, crun's "container" folder), so
    the path is cut after the part that has the id.
    """
    parts = [part for part in group.split("/") if part and part != ".."]
    for index, part in enumerate(parts):
        if container_id in part:
            folder = base.joinpath(*parts[: index + 1])
            if folder.is_dir():
                return folder
            break
    return next(_search(base, container_id, _TREE_DEPTH), None)


def _search(folder: Path, container_id: str, depth: int) -> Iterator[Path]:
    """Folders named after the container, the nearest first. conmon's own is not it."""
    deeper = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                continue
            if container_id in entry.name and "conmon" not in entry.name:
                yield Path(entry.path)
            deeper.append(Path(entry.path))
    if depth > 1:
        for one in deeper:
            yield from _search(one, container_id, depth - 1)


class CgroupFiles:
    """Open files of one container's group, read again and again without looking up paths.

    Raises:
        OSError: from any method, when the group is gone.
    """

    def __init__(self, place: CgroupPlace) -> None:
        self._v2 = place.v2
        self._files = contextlib.ExitStack()
        try:
            v2 = place.v2
            self._cpu = self._open(place.cpu / ("cpu.stat" if v2 else "cpuacct.usage"))
            self._used = self._open(
                place.memory / ("memory.current" if v2 else "memory.usage_in_bytes")
            )
            self._stat = self._open(place.memory / "memory.stat")
            limit = place.memory / ("memory.max" if v2 else "memory.limit_in_bytes")
            self._limit = self._open_if(limit)
            self._pids = self._open_if(place.pids / "pids.current") if place.pids else None
        except BaseException:
            self.close()
            raise
        name = rb"inactive_file" if v2 else rb"total_inactive_file"
        self._inactive = re.compile(rb"^" + name + rb" (\d+)", re.MULTILINE)

    def read(self) -> CgroupReading:
        """The figures now.

        Raises:
            ValueError: a file has not the shape that it should.
        """
        used = int(_text(self._used))
        inactive = self._inactive.search(_text(self._stat, _STAT_READ_BYTES))
        cache = int(inactive[1]) if inactive else 0
        return CgroupReading(
            cpu_ns=self._cpu_ns(),
            memory_used_bytes=used - cache if cache < used else used,
            memory_limit_bytes=self._limit_bytes(),
            process_count=None if self._pids is None else int(_text(self._pids)),
        )

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _cpu_ns(self) -> int:
        text = _text(self._cpu)
        if not self._v2:
            return int(text)
        for line in text.splitlines():
            name, _, value = line.partition(b" ")
            if name == b"usage_usec":
                return int(value) * 1000
        raise ValueError("cpu.stat has no usage_usec")

    def _limit_bytes(self) -> int | None:
        if self._limit is None:
            return None
        text = _text(self._limit).strip()
        limit = _NO_LIMIT_BYTES if text == b"max" else int(text)
        return limit if limit < _NO_LIMIT_BYTES else None

    def _open(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        close: Callable[[int], None] = os.close
        self._files.callback(close, descriptor)
        return descriptor

    def _open_if(self, path: Path) -> int | None:
        try:
            return self._open(path)
        except FileNotFoundError:
            return None


def _text(descriptor: int, size: int = 512) -> bytes:
    return os.pread(descriptor, size, 0)
