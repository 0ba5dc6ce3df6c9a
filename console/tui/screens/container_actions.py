"""Start, stop and restart of containers: asked first, then read back."""

from __future__ import annotations

from console.tui.ports import ContainerVerb
from console.tui.rows.cells import Row
from console.tui.rows.containers import container_of
from console.tui.screens.carrying import Order, Task
from console.tui.screens.pin_flow import PinFlow, Target
from console.tui.widgets.page import Entry

_DOING: dict[ContainerVerb, str] = {
    "start": "starting",
    "stop": "stopping",
    "restart": "restarting",
}


class ContainerActions(PinFlow):
    """For screens whose rows are containers."""

    def container_rows(self) -> list[Row]:
        """The rows that start, stop and restart are about: marked ones, else the current one."""
        raise NotImplementedError

    def current_row(self) -> Row | None:
        """The row that log and shell are about, never the marks: there is only one of them."""
        raise NotImplementedError

    def act_container_start(self) -> None:
        self._change("start")

    def act_container_stop(self) -> None:
        self._change("stop")

    def act_container_restart(self) -> None:
        self._change("restart")

    def act_pin_choose(self) -> None:
        row = self.current_row()
        target = self.target_of(row) if row is not None else None
        if target is None:
            self.say("There is no container under the cursor.")
        else:
            self.choose_gpus(target)

    def act_shell(self) -> None:
        row = self.current_row()
        target = self.target_of(row) if row is not None else None
        if target is None:
            self.say("There is no container under the cursor.")
        elif target.container.state != "running":
            name, state = target.container.name, target.container.state
            self.say(f"{name} is {state}: there is no shell in it.", "warn")
        else:
            self.open_shell(target.node, target.container.name)

    def act_logs(self) -> None:
        row = self.current_row()
        target = self.target_of(row) if row is not None else None
        if target is not None:
            self.host.drill(f"logs @{target.node} {target.container.name}")

    def target_of(self, row: Row) -> Target | None:
        """The container that a row is about, if it is still there."""
        view = self.context.fleet.nodes.get(row.group)
        container = container_of(view, row.key) if view is not None else None
        if view is None or container is None:
            return None
        return Target(view.name, view.entry.production, container)

    def _change(self, verb: ContainerVerb) -> None:
        found = [self.target_of(row) for row in self.container_rows()]
        targets = [target for target in found if target is not None]
        if not targets:
            self.say("There is no container under the cursor.")
            return
        about = []
        if len(targets) == 1:
            container = targets[0].container
            about = [Entry("image  ", container.image), Entry("state  ", container.state)]
        tasks = [self._to_do(verb, target) for target in targets]
        done = "are done and were read back"
        self.give(Order(verb, _DOING[verb], "container", tasks, about, done))

    def _to_do(self, verb: ContainerVerb, target: Target) -> Task:
        async def do() -> str:
            client = self.context.fleet.client(target.node)
            change = await client.act(target.container.id, verb)
            same = "" if change.changed else " already"
            return f"{target.container.name} is{same} {change.container.state}"

        name = target.container.name
        return Task(target.node, target.production, name, do, name)
