"""What Roost placed on nodes: which GPUs, which release, and whether it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from agent.protocol.deployments import Deployment, WorkloadStatus
from console.fleet.picture import NodeView
from console.text import clean
from console.tui.action import Action, Scope
from console.tui.rows.cells import Row
from console.tui.rows.workloads import COLUMNS, workload_key, workload_rows
from console.tui.screens.pin_flow import Target
from console.tui.screens.reads_workloads import ReadsWorkloads
from console.tui.screens.workload_actions import WorkloadActions


class WorkloadsScreen(ReadsWorkloads, WorkloadActions):
    """`:workloads SELECTOR /FILTER`. Enter shows what has become of it."""

    scope: ClassVar[Scope] = "workloads"
    columns = COLUMNS
    first_sort = "node"
    noun = "workload"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return workload_rows(view, self.context.placed)

    def target_of(self, row: Row) -> Target | None:
        view = self.context.fleet.nodes.get(row.group)
        status = self.context.placed.status(*workload_key(row.key))
        if view is None or status is None:
            return None
        for container in view.containers():
            if container.id == status.container:
                return Target(view.name, view.entry.production, container)
        return None

    def workload_under_cursor(self) -> tuple[str, str] | None:
        row = self.table.current
        node, name = workload_key(row.key) if row is not None else ("", "")
        return (node, name) if name else None

    def workload_targets(self) -> Sequence[tuple[str, str]]:
        keys = (workload_key(row.key) for row in self.targets())
        return [(node, name) for node, name in keys if name]

    def act_jobs(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"jobs @{row.group}")

    def open_row(self, row: Row) -> None:
        node, name = workload_key(row.key)
        problem = self.context.placed.problems.get(node)
        if not name and problem is not None:
            self.show_problem(problem, about=node)
        elif name and not self.is_working:
            self.begin(self._look(node, name), f"asking {node} ...")

    async def _look(self, node: str, name: str) -> None:
        """It as it is now; without its deployment where nobody knows that any more."""
        placed, client = self.context.placed, self.context.fleet.client(node)
        await placed.read(self.context.fleet, [node])
        if (problem := placed.problems.get(node)) is not None:
            self.call_later(self.show_problem, problem)
            return
        status = placed.status(node, name)
        if status is None:
            self.call_later(self.say, f"{clean(name)} was not placed by Roost (any more).", "warn")
            return
        deployment = None
        if status.deployment is not None and status.deployment_state is not None:
            deployment = await client.workloads.deployment(status.deployment)
        self.call_later(self._show, node, status, deployment)

    def _show(self, node: str, status: WorkloadStatus, deployment: Deployment | None) -> None:
        from console.tui.actions import action_by_id
        from console.tui.rows.deployment import deployment_entries
        from console.tui.screens.dialog import TextDialog

        name, job = status.name, None if deployment is None else deployment.job

        def chosen(action: Action | None) -> None:
            if action is None:
                return
            if action.id == "jobs":
                self.host.drill(f"job @{node} {job}")
            else:
                offers[action.id]()

        offers: dict[str, Callable[[], None]] = {
            "workload.confirm": lambda: self.offer_confirmation(node, name),
            "workload.resolve": lambda: self.offer_ways_out(node, name),
            "pin.undo": lambda: self.offer_undo(node, name),
            "workload.restart": lambda: self.offer_restart([(node, name)]),
            "workload.remove": lambda: self.offer_removal([(node, name)]),
        }
        actions = [action_by_id(each) for each in _fitting(status, deployment)]
        self.app.push_screen(
            TextDialog(
                self.context,
                deployment_entries(status, deployment, self.context.fleet.nodes[node]),
                title=f"{name} on {node}",
                actions=[action for action in actions if self.is_usable(action)],
            ),
            chosen,
        )


def _fitting(status: WorkloadStatus, deployment: Deployment | None) -> Iterator[str]:
    """What can be done in the state that it is in."""
    state = None if deployment is None else deployment.state
    if state == "stuck":
        yield "workload.resolve"
    elif state in (None, "done", "reverted"):
        yield "workload.restart"
        yield "workload.remove"
    elif deployment is not None and not deployment.confirmed and state != "reverting":
        yield "workload.confirm"
    if status.can_undo:
        yield "pin.undo"
    if deployment is not None and deployment.job is not None:
        yield "jobs"
