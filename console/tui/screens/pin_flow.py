"""Putting a container on other GPUs, and back: what would happen, in words; then the job."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from agent.protocol.deployments import Deployment, DeployPlan, PinRequest, WorkloadStatus
from agent.protocol.live import LiveContainer
from console.text import clean
from console.tui.look import words
from console.tui.rows.places import KEPT
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.widgets.page import Entry


@dataclass(frozen=True, slots=True)
class Target:
    """A container that something is to be done with."""

    node: str
    production: bool
    container: LiveContainer


class PinFlow(Carrying):
    """For screens from which containers are pinned and pins undone."""

    def choose_gpus(self, target: Target) -> None:
        """Ask for GPUs, then show what would happen."""
        if not self._is_busy() and not self._is_kept(target):
            self.begin(self._ask_first(target), f"asking {target.node} what is reserved ...")

    async def _ask_first(self, target: Target) -> None:
        """What is reserved, and what the container has now, is suggested again. A node that
        does not answer says so when it is asked what would happen."""
        await self.context.placed.read(self.context.fleet, [target.node])
        self.call_later(self._ask_for_gpus, target)

    def _ask_for_gpus(self, target: Target) -> None:
        from console.tui.screens.pin_dialog import PinDialog

        def chosen(request: PinRequest | None) -> None:
            if request is not None:
                self.offer_pin(target, request)

        view = self.context.fleet.nodes[target.node]
        self.app.push_screen(PinDialog(self.context, view, target.container), chosen)

    def offer_pin(self, target: Target, request: PinRequest) -> None:
        """Ask the node what the pin would do, then the person whether to."""
        if self._is_busy() or self._is_kept(target):
            return
        self.begin(self._plan(target, request), f"asking {target.node} what would happen ...")

    def _is_busy(self) -> bool:
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
        return self.is_working

    def _is_kept(self, target: Target) -> bool:
        name, kept, _ = target.container.name.partition(KEPT)
        if kept:
            self.say(f"It is kept for an undo of {clean(name)}: move that one.", "warn")
        return bool(kept)

    async def _plan(self, target: Target, request: PinRequest) -> None:
        client = self.context.fleet.client(target.node)
        plan = await client.workloads.plan_pin(target.container.id, request)
        self.call_later(self._ask_to_pin, target, request, plan)

    def _ask_to_pin(self, target: Target, request: PinRequest, plan: DeployPlan) -> None:
        from console.tui.rows.deployment import plan_entries

        node, name, about = target.node, target.container.name, plan_entries(plan)
        if plan.problems:
            from console.tui.screens.dialog import TextDialog

            title = f"Cannot pin {name} on {node}"
            self.app.push_screen(TextDialog(self.context, about, title=title))
            return
        if request.options.confirm == "manual":
            within = words.age(request.options.confirm_within)
            waits = f"it goes back by itself after {within}, unless it is confirmed in :workloads"
            about.insert(0, Entry("note: ", waits, "warn"))
        key = secrets.token_hex(16)

        async def do() -> str:
            job = await self.context.fleet.client(node).workloads.pin(
                target.container.id, request, key
            )
            self.context.placed.last_pin = (node, name)
            self.host.drill(f"job @{node} {job.id}")
            return f"the pin of {name} has begun"

        task = Task(node, target.production, name, do, name)
        self.give(Order("pin", "pinning", "container", [task], about))

    # back again

    def offer_undo(self, node: str, workload: str) -> None:
        """Say what an undo of the workload's newest deployment would do, then ask."""
        if not self._is_busy():
            self.begin(self._look_back(node, workload), f"asking {node} what would happen ...")

    async def _look_back(self, node: str, workload: str) -> None:
        placed, client = self.context.placed, self.context.fleet.client(node)
        await placed.read(self.context.fleet, [node])
        if (problem := placed.problems.get(node)) is not None:
            self.call_later(self.show_problem, problem)
            return
        status = placed.status(node, workload)
        if status is None or status.deployment is None or not status.can_undo:
            self.call_later(self.say, _nothing_to_undo(workload, status), "warn")
            return
        deployment = await client.workloads.deployment(status.deployment)
        self.call_later(self._ask_to_undo, node, status, deployment)

    def _ask_to_undo(self, node: str, status: WorkloadStatus, deployment: Deployment) -> None:
        from console.tui.rows.workload_changes import undo_entries

        async def do() -> str:
            client = self.context.fleet.client(node).workloads
            job = await client.undo(status.name, deployment.id)
            self.host.drill(f"job @{node} {job.id}")
            return f"the undo of {status.name} has begun"

        view = self.context.fleet.nodes[node]
        task = Task(node, view.entry.production, status.name, do, status.name)
        about = undo_entries(status, deployment, view)
        self.give(Order("undo", "undoing", "workload", [task], about))


def _nothing_to_undo(workload: str, status: WorkloadStatus | None) -> str:
    name = clean(workload)
    if status is None:
        return f"{name} was not placed by Roost (any more): there is nothing to undo."
    if status.deployment_state not in {"done", None}:
        return f"The deployment of {name} is {status.deployment_state}: there is nothing to undo."
    return f"Nothing is kept of {name} that could come back."
