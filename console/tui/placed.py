"""Which workloads Roost placed on each node, as it was asked last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.tui.answers import Answers

if TYPE_CHECKING:
    from agent.protocol.deployments import WorkloadStatus
    from console.fleet.picture import NodeView


class Placed(Answers["list[WorkloadStatus]"]):
    """One for all screens. A node is asked again when its jobs have changed workloads."""

    def __init__(self) -> None:
        super().__init__(lambda client: client.workloads.list())
        self.last_pin: tuple[str, str] | None = None
        """Node and workload of the last pin that was begun here."""
        self._jobs: dict[str, frozenset[tuple[str, str]]] = {}

    def of(self, node: str) -> list[WorkloadStatus]:
        """What is known; empty also where the node did not answer."""
        return self.said.get(node, [])

    def status(self, node: str, workload: str) -> WorkloadStatus | None:
        return next((each for each in self.of(node) if each.name == workload), None)

    def has_moved(self, view: NodeView) -> bool:
        """Whether jobs about workloads began or ended there since this was asked last."""
        now = frozenset(
            (key, str(record.get("state")))
            for key, record in view.sections.get("jobs", {}).items()
            if str(record.get("kind")).startswith("workload.")
        )
        before = self._jobs.get(view.name)
        self._jobs[view.name] = now
        return before is not None and before != now
