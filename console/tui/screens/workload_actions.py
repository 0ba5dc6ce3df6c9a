"""Restart, removal, confirmation and ways out of `stuck`: said in words, asked, then the job."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from agent.protocol.deployments import AT_REST, Deployment, ResolveRequest, WorkloadStatus
from agent.protocol.jobs import Job
from console.fleet.picture import NodeView
from console.text import clean, plural
from console.tui.ports import WorkloadClient
from console.tui.rows.workload_changes import (
    Way,
    confirm_entries,
    remove_entries,
    resolve_entries,
    restart_entries,
)
from console.tui.screens.carrying import Order, Task
from console.tui.screens.pin_flow import PinFlow
from console.tui.widgets.page import Entry

Key = tuple[str, str]
"""Node and workload."""


class _Change(NamedTuple):
    """What is done to workloads without a deployment."""

    verb: Literal["restart", "remove"]
    doing: str
    entries: Callable[[WorkloadStatus, NodeView], list[Entry]]

    def begin(self, workloads: WorkloadClient, name: str, key: str) -> Awaitable[Job]:
        do = workloads.restart if self.verb == "restart" else workloads.remove
        return do(name, key)


_RESTART = _Change("restart", "restarting", restart_entries)
_REMOVE = _Change("remove", "removing", remove_entries)


class WorkloadActions(PinFlow):
    """For the screen whose rows are workloads."""

    def workload_targets(self) -> Sequence[Key]:
        """What restart and remove are about: marked ones, else the one under the cursor."""
        raise NotImplementedError

    def workload_under_cursor(self) -> Key | None:
        """What confirm and resolve are about."""
        raise NotImplementedError

    def act_workload_restart(self) -> None:
        self.offer_restart(self.workload_targets())

    def act_workload_remove(self) -> None:
        self.offer_removal(self.workload_targets())

    def act_workload_confirm(self) -> None:
        if (here := self._here()) is not None:
            self.offer_confirmation(*here)

    def act_workload_resolve(self) -> None:
        if (here := self._here()) is not None:
            self.offer_ways_out(*here)

    def _here(self) -> Key | None:
        here = self.workload_under_cursor()
        if here is None:
            self.say("There is no workload under the cursor.")
        return here

    # restart and remove

    def offer_restart(self, targets: Sequence[Key]) -> None:
        """Say what a restart would do, then ask."""
        self._offer(_RESTART, targets)

    def offer_removal(self, targets: Sequence[Key]) -> None:
        """Say what a removal would do, then ask."""
        self._offer(_REMOVE, targets)

    def _offer(self, change: _Change, targets: Sequence[Key]) -> None:
        if not targets:
            self.say("There is no workload under the cursor.")
        elif not self._is_busy():
            nodes = sorted({node for node, _ in targets})
            where = nodes[0] if len(nodes) == 1 else plural(len(nodes), "node")
            self.begin(self._look_first(change, targets), f"asking {where} what runs ...")

    async def _look_first(self, change: _Change, targets: Sequence[Key]) -> None:
        placed = self.context.placed
        await placed.read(self.context.fleet, sorted({node for node, _ in targets}))
        for node, name in targets:
            problem = placed.problems.get(node)
            refused = _refused(name, placed.status(node, name))
            if problem is not None:
                self.call_later(self.show_problem, problem)
                return
            if refused is not None:
                where = f"{node}: " if len(targets) > 1 else ""
                self.call_later(self.say, f"{where}{refused}", "warn")
                return
        self.call_later(self._ask, change, targets)

    def _ask(self, change: _Change, targets: Sequence[Key]) -> None:
        about: list[Entry] = []
        if len(targets) == 1:
            node, name = targets[0]
            status = self.context.placed.status(node, name)
            if status is not None:
                about = change.entries(status, self.context.fleet.nodes[node])
        tasks = [self._task_of(change, key, alone=len(targets) == 1) for key in targets]
        self.give(Order(change.verb, change.doing, "workload", tasks, about, "have begun"))

    def _task_of(self, change: _Change, target: Key, *, alone: bool) -> Task:
        node, name = target
        key = secrets.token_hex(16)

        async def do() -> str:
            job = await change.begin(self.context.fleet.client(node).workloads, name, key)
            if alone:
                self.host.drill(f"job @{node} {job.id}")
            return (
                f"the {'restart' if change is _RESTART else 'removal'} of {clean(name)} has begun"
            )

        return Task(node, self.context.fleet.nodes[node].entry.production, name, do, name)

    # deployments that wait for a person

    def offer_confirmation(self, node: str, name: str) -> None:
        """Say what is confirmed, then ask."""
        if not self._is_busy():
            self.begin(self._newest(node, name, self._ask_to_confirm), f"asking {node} ...")

    def offer_ways_out(self, node: str, name: str) -> None:
        """Say why it is stuck and what can be done, then ask for one of them."""
        if not self._is_busy():
            self.begin(self._newest(node, name, self._ask_for_way), f"asking {node} ...")

    async def _newest(
        self, node: str, name: str, then: Callable[[str, WorkloadStatus, Deployment], None]
    ) -> None:
        """The newest deployment as it is now, or why there is none."""
        placed = self.context.placed
        await placed.read(self.context.fleet, [node])
        if (problem := placed.problems.get(node)) is not None:
            self.call_later(self.show_problem, problem)
            return
        status = placed.status(node, name)
        if status is None or status.deployment is None:
            gone = (
                _not_there(name) if status is None else f"No deployment of {clean(name)} is known."
            )
            self.call_later(self.say, gone, "warn")
            return
        client = self.context.fleet.client(node)
        self.call_later(then, node, status, await client.workloads.deployment(status.deployment))

    def _ask_to_confirm(self, node: str, status: WorkloadStatus, deployment: Deployment) -> None:
        if deployment.state in AT_REST or deployment.state == "reverting" or deployment.confirmed:
            self.say(_became(status.name, deployment))
            return

        async def do() -> str:
            client = self.context.fleet.client(node).workloads
            confirmed = await client.confirm_workload(status.name)
            if confirmed.state not in AT_REST and confirmed.job is not None:
                self.host.drill(f"job @{node} {confirmed.job}")
            return _became(status.name, confirmed).rstrip(".")

        view = self.context.fleet.nodes[node]
        task = Task(node, view.entry.production, status.name, do, status.name)
        about = confirm_entries(status, deployment, view)
        self.give(Order("confirm", "confirming", "workload", [task], about))

    def _ask_for_way(self, node: str, status: WorkloadStatus, deployment: Deployment) -> None:
        if deployment.state != "stuck":
            name = clean(status.name)
            self.say(f"The deployment of {name} is {deployment.state}: nothing is stuck.")
            return
        from console.tui.screens.resolve_dialog import ResolveDialog

        def chosen(way: Way | None) -> None:
            if way is not None:
                self._ask_to_resolve(way, node, status, deployment)

        self.app.push_screen(ResolveDialog(self.context, node, status, deployment), chosen)

    def _ask_to_resolve(
        self, way: Way, node: str, status: WorkloadStatus, deployment: Deployment
    ) -> None:
        async def do() -> str:
            client = self.context.fleet.client(node).workloads
            job = await client.resolve(status.name, ResolveRequest(how=way))
            self.host.drill(f"job @{node} {job.id}")
            return f"{way} of {clean(status.name)} has begun"

        view = self.context.fleet.nodes[node]
        what = f"{status.name} by {way}"
        task = Task(node, view.entry.production, what, do, status.name)
        about = resolve_entries(way, status, deployment, view)
        self.give(Order("resolve", "resolving", "workload", [task], about))


def _refused(name: str, status: WorkloadStatus | None) -> str | None:
    """Why the node would not restart or remove it now."""
    if status is None:
        return _not_there(name)
    state = status.deployment_state
    if state is None or state in ("done", "reverted"):
        return None
    way = "resolve it" if state == "stuck" else "wait for it, or undo it"
    return f"The deployment of {clean(name)} is {state}: {way} first."


def _not_there(name: str) -> str:
    return f"{clean(name)} was not placed by Roost (any more)."


def _became(name: str, deployment: Deployment) -> str:
    """What has become of a deployment that somebody says may stay."""
    it = f"The deployment of {clean(name)}"
    if deployment.state == "done":
        return f"{it} is done: it stays."
    if deployment.state in ("reverted", "reverting"):
        why = deployment.problem.detail if deployment.problem else ""
        why = why or (deployment.history[-1].why if deployment.history else "")
        return f"{it} is {deployment.state}: {clean(why) or 'nobody said why'}"
    if deployment.state == "stuck":
        return f"{it} is stuck: resolve it."
    return f"{it} is confirmed: it is done once it stayed well."
