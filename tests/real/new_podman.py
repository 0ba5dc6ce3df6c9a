"""A private Podman of Debian sid, run from a folder: one that takes CDI devices through its API.

tests/real/make-roots makes the folder. Nothing of a test is written into it.
"""

from __future__ import annotations

from tests.real import roots
from tests.real.containerd_store import ENTER, inside
from tests.real.enclosure import Enclosure
from tests.real.podman_service import PodmanService


class NewPodman(PodmanService):
    """`podman system service` of Debian sid; its CDI specifications are those in `cdi`."""

    def __init__(self, enclosure: Enclosure) -> None:
        super().__init__(enclosure)
        self.cdi = self.folder / "cdi"
        self.cdi.mkdir()
        configuration = self.folder / "containers.conf"
        text = configuration.read_text().replace(
            "[engine]\n", f'[engine]\ncdi_spec_dirs = ["{self.cdi}"]\n'
        )
        configuration.write_text(text)
        self.enclosure.enter(
            "sh", "-c", ENTER, "sh", str(roots.folder(roots.DOCKER)), str(self.folder)
        )

    def _podman(self) -> list[str]:
        return inside(*super()._podman())
