"""The machine as the agent's HostSource: real files below one root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.host.disks import STATE_DIR, read_disks
from agent.host.facts import read_facts
from agent.host.sample import HostSampler
from agent.host.toolkit import ToolkitReader
from agent.protocol.node import Disk, HostFacts, ToolkitFacts
from agent.protocol.telemetry import HostSample


class LinuxHost:
    """A HostSource over /proc, /sys and /etc.

    Args:
        root: Where the machine's own root is; an agent in a container may have it elsewhere.
        state_dir: The agent's own folder, for the disk it lies on.
    """

    def __init__(self, root: Path = Path("/"), *, state_dir: str = STATE_DIR) -> None:
        self._root = root
        self._state_dir = state_dir
        self._sampler = HostSampler(root)
        self._toolkit = ToolkitReader(root)
        self._disk_paths: tuple[str, ...] = ()

    def facts(self) -> HostFacts:
        return read_facts(self._root)

    def toolkit(self, cdi_dirs: Sequence[str]) -> ToolkitFacts:
        return self._toolkit.read(cdi_dirs)

    def disks(self, *, runtime_dir: str | None) -> list[Disk]:
        """Also what `sample` tells the free bytes of from then on."""
        disks = read_disks(self._root, runtime_dir=runtime_dir, state_dir=self._state_dir)
        self._disk_paths = tuple(disk.path for disk in disks)
        return disks

    def sample(self) -> HostSample:
        return self._sampler.sample(self._disk_paths)

    def close(self) -> None:
        self._sampler.close()
