"""Which workloads Roost placed on each node, as it was asked last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.tui.answers import FollowedAnswers

if TYPE_CHECKING:
    from agent.protocol.deployments import WorkloadStatus


class Placed(FollowedAnswers["list[WorkloadStatus]"]):
    """One for all screens. A node is asked again when its jobs have changed workloads."""

    def __init__(self) -> None:
        super().__init__(lambda client: client.workloads.list(), "workload.")
        self.last_pin: tuple[str, str] | None = None
        """Node and workload of the last pin that was begun here."""

    def of(self, node: str) -> list[WorkloadStatus]:
        """What is known; empty also where the node did not answer."""
        return self.said.get(node, [])

    def status(self, node: str, workload: str) -> WorkloadStatus | None:
        return next((each for each in self.of(node) if each.name == workload), None)
