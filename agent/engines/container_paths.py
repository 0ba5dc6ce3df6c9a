"""Which paths of the node a worker's container sees, and under which name."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.engines.worker_task import TaskPath
from agent.host.real_paths import ROOT, here, real_path
from agent.protocol.problems import ProblemError

INSIDE = "/roost"


class Mounts:
    """Binds, as they are added. `root` is the machine's."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._binds: dict[str, tuple[Path, bool]] = {}  # by path inside: path here, writable
        self._names: dict[str, str] = {}

    def add(self, path: TaskPath) -> None:
        """Blocks. Raises ProblemError `engine.onnx`: the container would not find it."""
        inside = f"{INSIDE}/{path.key}"
        if not path.folder:
            self._binds[inside] = path.path, path.writable
            self._names[path.key] = inside
            return
        folder = path.path.parent
        real = self._real(path.path)
        link = (here(folder, self._root) / path.path.name).is_symlink()
        if link and not real.is_relative_to(self._real(folder)):
            raise ProblemError(
                "engine.onnx",
                f"{path.path} is a link to {real}, which a container with its folder does not see",
                params={"path": str(path.path)},
                hint="Name the file that it leads to.",
            )
        self._binds[inside] = folder, path.writable
        self._names[path.key] = f"{inside}/{path.path.name}"

    def _real(self, path: Path) -> Path:
        try:
            return real_path(str(path), self._root)
        except OSError as error:
            raise ProblemError(
                "engine.onnx",
                f"{path}: {error.strerror}",
                params={"path": str(path)},
                hint="Name a file that can be read on the node.",
            ) from None

    def add_file(self, file: Path) -> str:
        """Bind it read-only, under its own name; where it is inside."""
        inside = f"{INSIDE}/{file.name}"
        self._binds[inside] = file, False
        return inside

    def seen_as(self, path: TaskPath) -> str:
        """Where what was added is inside."""
        return self._names[path.key]

    def body(self) -> list[dict[str, Any]]:
        """As the runtime's API takes them."""
        return [
            {"Type": "bind", "Source": str(path), "Target": inside, "ReadOnly": not writable}
            for inside, (path, writable) in self._binds.items()
        ]


def hidden(paths: Sequence[TaskPath], root: Path = ROOT) -> str | None:
    """Which of what the worker reads others may not, in words; `root` is the machine's. Blocks."""
    for path in paths:
        if path.writable:
            continue
        seen = [path.path.parent, path.path] if path.folder else [path.path]
        for each in seen:
            with contextlib.suppress(OSError):
                mode = here(each, root).stat().st_mode
                if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
                    return f"{each} may only be read by its owner, and the image may have another"
    return None
