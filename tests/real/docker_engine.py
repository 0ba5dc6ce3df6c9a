"""A private Docker Engine: a dockerd of our own, and the containerd that it starts."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real.enclosure import Enclosure
from tests.real.runtime import KILL_SECONDS, PrivateRuntime


class DockerEngine(PrivateRuntime):
    """dockerd in its own network and mounts; its containers end with it.

    `config` is daemon.json beside the folders, written at each start. Executables in `hooks` are
    first in dockerd's PATH; dockerd looks for nvidia-container-runtime-hook at its start only.

    A dockerd that stops, or that finds containers running after kill -9, stops them first and
    waits for each as long as it was created with (`--stop-timeout`, 10 s unless said): a shell,
    httpd or sleep as PID 1 ignores SIGTERM, `--init` does not.
    """

    def __init__(self, enclosure: Enclosure, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(enclosure, "dockerd")
        self.config: dict[str, Any] = dict(config or {})
        self.hooks = self.folder / "hooks"
        self.hooks.mkdir()
        self._environment["PATH"] = f"{self.hooks}:{os.environ['PATH']}"

    def add_hook(self, name: str, script: str) -> Path:
        """Put an executable first in the PATH of the next dockerd."""
        hook = self.hooks / name
        hook.write_text(script)
        hook.chmod(0o755)
        return hook

    def _command(self) -> Sequence[str]:
        settings = {
            "hosts": [self.url],
            "data-root": str(self.data),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "docker.pid"),
            # Never the machine's systemd; a parent of our own can be removed at the end.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/roost-{self.folder.name}/docker",
        }
        file = self.folder / "daemon.json"
        file.write_text(json.dumps(settings | self.config))
        return ["dockerd", "--config-file", str(file)]

    def _import(self, root: Path, image: str) -> None:
        self.docker("import", "--change", 'CMD ["sh"]', str(root), image)

    def _end(self, number: int, seconds: float) -> None:
        containerd = self._containerd()
        super()._end(number, seconds)
        # It dies with dockerd, but a little later, and a new dockerd would wait for it in vain.
        deadline = time.monotonic() + KILL_SECONDS
        while containerd is not None and Path(f"/proc/{containerd}").exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"containerd {containerd} outlives its dockerd")
            time.sleep(0.005)

    def _containerd(self) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.folder / "exec" / "containerd" / "containerd.pid").read_text())
        return None
