"""What the rest of the agent needs of the machine it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.protocol.node import Disk, HostFacts, ToolkitFacts
from agent.protocol.telemetry import HostSample


class HostSource(Protocol):
    """Facts and figures of the machine. Nothing raises; calls block briefly: use a thread."""

    def facts(self) -> HostFacts: ...

    def toolkit(self, cdi_dirs: Sequence[str]) -> ToolkitFacts: ...

    def disks(self, *, runtime_dir: str | None) -> list[Disk]: ...

    def sample(self) -> HostSample: ...
