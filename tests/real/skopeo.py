"""skopeo inside a runtime's enclosure: no network, and policies and registries of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.real.commands import run
from tests.real.runtime import PrivateRuntime

# From and to files and the private daemon only: anything may be read, and no registry is known.
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
REGISTRIES = "unqualified-search-registries = []\n"


class Skopeo:
    """The command; what it remembers of blobs below /var/lib stays in the enclosure."""

    def __init__(self, runtime: PrivateRuntime, folder: Path) -> None:
        """`folder` takes its settings and temporary files."""
        self.runtime = runtime
        self.folder = folder
        self._policy = folder / "policy.json"
        self._policy.write_text(json.dumps(POLICY))
        self._registries = folder / "registries.conf"
        self._registries.write_text(REGISTRIES)
        self._signatures = folder / "registries.d"
        self._signatures.mkdir()

    def copy(self, source: str, destination: str, *options: str) -> None:
        """`skopeo copy`; names begin with a transport. Raises CommandFailedError."""
        home = str(self.folder)
        own = {"HOME": home, "TMPDIR": home, "XDG_CONFIG_HOME": home, "XDG_RUNTIME_DIR": home}
        settings = (
            f"--policy={self._policy}",
            f"--registries-conf={self._registries}",
            f"--registries.d={self._signatures}",
            f"--tmpdir={home}",
        )
        words = (*self.runtime.enclosure.entering(), "skopeo", *settings, "copy", "--quiet")
        run(*words, *options, source, destination, env=dict(os.environ) | own)

    def save(self, image: str, destination: str, *options: str) -> None:
        """Copy an image that the runtime has."""
        host = f"--src-daemon-host={self.runtime.url}"
        self.copy(f"docker-daemon:{image}", destination, host, *options)
