"""The live picture of all nodes: what screens and `node ls` show."""

from __future__ import annotations

import time
from typing import Literal

from agent.protocol.decoding import from_plain
from agent.protocol.findings import SEVERITIES, Finding
from agent.protocol.gpus import GpuProcess
from agent.protocol.jobs import Job
from agent.protocol.live import LiveContainer, LiveGpu, LiveNode, Sections
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem
from console.fleet.inventory import NodeEntry

# connecting: never reached by this console run; live: the stream is up; stale: up, but silent
# for 25 s; offline: the link is down and is tried again; refused: reached, but a person must
# act first (token, fingerprint, host key, API version), so it is tried again only now and then.
NodeState = Literal["connecting", "live", "stale", "offline", "refused"]


class NodeView:
    """What is known of one node. Changed only by the link that follows it.

    `sections` is the agent's picture (agent.protocol.live), or the cached one while
    `cached` is true. The typed readers below build their records anew at each call.
    """

    def __init__(self, entry: NodeEntry) -> None:
        self.entry = entry
        self.state: NodeState = "connecting"
        self.problem: Problem | None = None  # why it is offline or refused
        self.sections: Sections = {}
        self.cached = False
        self.seen_at: float | None = None  # Unix time of the last word from the agent
        self.clock_offset_seconds: float | None = None  # node's clock minus ours
        self.clock_uncertainty_seconds: float | None = None  # half of the round trip
        self.bytes_received = 0

    @property
    def name(self) -> str:
        return self.entry.name

    def age_seconds(self) -> float | None:
        """Since the last word from the agent; None if there was never one."""
        return None if self.seen_at is None else max(0.0, time.time() - self.seen_at)

    def node(self) -> LiveNode | None:
        record = self.sections.get("node", {}).get("")
        return None if record is None else from_plain(record, LiveNode)

    def facts(self) -> NodeFacts | None:
        record = self.sections.get("facts", {}).get("")
        return None if record is None else from_plain(record, NodeFacts)

    def gpus(self) -> list[LiveGpu]:
        records = self.sections.get("gpus", {}).values()
        return sorted((from_plain(r, LiveGpu) for r in records), key=lambda gpu: gpu.index)

    def processes(self) -> list[GpuProcess]:
        return [from_plain(r, GpuProcess) for r in self._records("processes")]

    def containers(self) -> list[LiveContainer]:
        found = [from_plain(r, LiveContainer) for r in self._records("containers")]
        return sorted(found, key=lambda container: container.name)

    def findings(self) -> list[Finding]:
        """The worst first."""
        found = [from_plain(r, Finding) for r in self._records("findings")]
        return sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code, f.subject))

    def jobs(self) -> list[Job]:
        """All under way and the last that ended, the newest first."""
        found = [from_plain(r, Job) for r in self._records("jobs")]
        return sorted(found, key=lambda job: -job.created_at)

    def _records(self, section: str) -> list[dict[str, object]]:
        return list(self.sections.get(section, {}).values())
