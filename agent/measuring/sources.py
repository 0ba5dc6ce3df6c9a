"""What is read of containers and of the proxies in front of them: here, or simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from agent.containers.inside_http import InsideHttp
from agent.containers.runtime import ContainerRuntime
from agent.measuring.measurers import Reader, Readers
from agent.measuring.replaying import InsideSender, Sender
from agent.measuring.requests import RequestSource
from agent.protocol.measures import Measure


class ArmSources(NamedTuple):
    """Of one node."""

    reader: Callable[[Measure], Reader]
    send: Sender
    requests: RequestSource


def real_sources(
    runtime: ContainerRuntime, requests: RequestSource, *, procfs: Path = Path("/proc")
) -> ArmSources:
    """Containers of this machine, whose processes are in `procfs`."""
    http = InsideHttp(runtime, procfs)
    return ArmSources(Readers(runtime, http).reader, InsideSender(http), requests)
