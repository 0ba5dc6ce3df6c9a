"""A private Podman: its Docker-compatible socket over storage of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.real.commands import run
from tests.real.enclosure import Enclosure
from tests.real.runtime import PrivateRuntime

# Debian's default runtime, crun, refuses cgroup v1 beside v2, and its default cgroup manager and
# events logger want systemd. Its default limits are higher than root may set without
# CAP_SYS_RESOURCE; a container that asks for one limit gets Podman's default for the other.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[engine.runtimes]
runc = ["{runc}"]
[network]
network_config_dir = "{networks}"
"""
PACKAGES = Path("/usr/bin/dpkg")


class PodmanService(PrivateRuntime):
    """`podman system service` in its own network and mounts; its containers end with it.

    Podman has no daemon: containers run on while the service is stopped, and none is started
    again because of its restart policy when the service comes back.
    """

    def __init__(self, enclosure: Enclosure) -> None:
        super().__init__(enclosure, "podman")
        configuration = self.folder / "containers.conf"
        configuration.write_text(
            CONFIGURATION.format(runc=shutil.which("runc"), networks=self.folder / "networks")
        )
        self._environment["CONTAINERS_CONF"] = str(configuration)
        # Each /info and /version asks it which packages Podman's helpers come from: 1.3 s of CPU.
        if PACKAGES.exists():
            self.enter("mount", "--bind", str(shutil.which("false")), str(PACKAGES))

    def podman(self, *args: str, text: str | None = None, seconds: float = 60) -> str:
        """The `podman` command on the same storage: its output, stripped."""
        words = (*self.enclosure.entering(), *self._podman(), *args)
        return run(*words, text=text, env=self._environment, seconds=seconds).stdout.strip()

    def _command(self) -> Sequence[str]:
        self.socket.unlink(missing_ok=True)  # left by kill -9
        return [*self._podman(), "system", "service", "--time=0", self.url]

    def _import(self, root: Path, image: str) -> None:
        name = f"docker.io/{image}"  # the API finds short names there
        self.podman("import", "--quiet", "--change", 'CMD ["sh"]', str(root), name)

    def _podman(self) -> list[str]:
        state = {"--root": self.data, "--runroot": self.folder / "run", "--tmpdir": self.folder}
        return ["podman", *(word for pair in state.items() for word in (pair[0], str(pair[1])))]
