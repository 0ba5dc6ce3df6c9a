"""A private Docker whose images are in containerd's store, of Debian sid, run from a folder.

tests/real/make-roots makes the folder. Nothing of a test is written into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.real import roots
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

_FEATURES = {"features": {"containerd-snapshotter": True}}
# Below the enclosure's own /run, so that it ends with the enclosure and lies under no folder that
# is removed.
PLACE = "/run/docker-sid"
# What runs in it sees: the folder, with a layer over it that takes all that is written.
ENTER = f"""
set -eu
mkdir -p {PLACE}/upper {PLACE}/work {PLACE}/root
cd {PLACE}
mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" overlay root
mount -t proc proc root/proc
mount --rbind /sys root/sys
mount --rbind /dev root/dev
mount -t tmpfs -o mode=0755 tmpfs root/run
mkdir -p "root$2"
mount --rbind "$2" "root$2"
"""


# Not chroot: what enters a container's mounts later, an exec, would find itself at the top of its
# mount namespace, which a chroot leaves where it was.
_INSIDE = f"""
cd {PLACE}/root
pivot_root . mnt
umount --lazy /mnt
exec "$@"
"""


def inside(*argv: str) -> list[str]:
    """A command in that folder, in a mount namespace of its own, once `ENTER` was run."""
    return ["unshare", "--mount", "--", "sh", "-euc", _INSIDE, "sh", *argv]


class ContainerdStoreDocker(DockerEngine):
    """dockerd of Debian sid with the containerd image store; see `DockerEngine`."""

    def __init__(self, enclosure: Enclosure, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(enclosure, {**_FEATURES, **(config or {})})
        self._entered = False

    def _command(self) -> Sequence[str]:
        if not self._entered:
            self.enclosure.enter(
                "sh", "-c", ENTER, "sh", str(roots.folder(roots.DOCKER)), str(self.folder)
            )
            self._entered = True
        return inside(*super()._command())
