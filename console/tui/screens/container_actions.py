"""Start, stop and restart of containers: asked first, then read back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.protocol.live import LiveContainer
from agent.protocol.problems import Problem
from console.text import clean, plural
from console.tui.actions import action_by_id
from console.tui.ports import ContainerVerb
from console.tui.rows.cells import Row
from console.tui.rows.containers import container_of
from console.tui.screens.base import View
from console.tui.screens.talking import problem_of
from console.tui.widgets.page import BLANK, Entry

_AT_ONCE = 8
_LISTED = 10
_DOING: dict[ContainerVerb, str] = {
    "start": "starting",
    "stop": "stopping",
    "restart": "restarting",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A container that something is to be done with."""

    node: str
    production: bool
    container: LiveContainer


class ContainerActions(View):
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

    def act_shell(self) -> None:
        row = self.current_row()
        target = self._target_of(row) if row is not None else None
        if target is None:
            self.say("There is no container under the cursor.")
        elif target.container.state != "running":
            name, state = target.container.name, target.container.state
            self.say(f"{name} is {state}: there is no shell in it.", "warn")
        else:
            self.open_shell(target.node, target.container.name)

    def act_logs(self) -> None:
        row = self.current_row()
        target = self._target_of(row) if row is not None else None
        if target is not None:
            self.host.drill(f"logs @{target.node} {target.container.name}")

    def _target_of(self, row: Row) -> Target | None:
        view = self.context.fleet.nodes.get(row.group)
        container = container_of(view, row.key) if view is not None else None
        if view is None or container is None:
            return None
        return Target(view.name, view.entry.production, container)

    def _change(self, verb: ContainerVerb) -> None:
        found = [self._target_of(row) for row in self.container_rows()]
        targets = [target for target in found if target is not None]
        if not targets:
            self.say("There is no container under the cursor.")
            return
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        from console.tui.screens.confirm import ConfirmScreen

        def answered(go: bool | None) -> None:  # noqa: FBT001  # Textual's callback
            if go:
                what = targets[0].container.name if len(targets) == 1 else f"{len(targets)}"
                self.begin(self._carry_out(verb, targets), f"{_DOING[verb]} {clean(what)} ...")

        self.app.push_screen(
            ConfirmScreen(
                self.context,
                question(verb, targets),
                title="PRODUCTION" if any(t.production for t in targets) else verb.capitalize(),
                choice=verb.capitalize(),
                typed=must_type(verb, targets),
                danger=any(t.production for t in targets),
            ),
            answered,
        )

    async def _carry_out(self, verb: ContainerVerb, targets: list[Target]) -> None:
        """At most eight at once; what each one came to is told at the end."""
        limit = asyncio.Semaphore(_AT_ONCE)
        done: list[str] = []
        failed: list[tuple[Target, Problem]] = []

        async def one(target: Target) -> None:
            async with limit:
                try:
                    client = self.context.fleet.client(target.node)
                    change = await client.act(target.container.id, verb)
                except Exception as error:  # noqa: BLE001  # one failure stops no other
                    failed.append((target, problem_of(error)))
                else:
                    state = change.container.state
                    same = "" if change.changed else " already"
                    done.append(f"{target.container.name} is{same} {state}")
            if len(targets) > 1:
                count = len(done) + len(failed)
                self.footer.progress(f"{_DOING[verb]} ... {count} of {len(targets)}")

        await asyncio.gather(*(one(target) for target in targets))
        if failed:
            self._tell_failures(verb, failed, len(targets))
        elif len(done) == 1:
            self.say(f"{done[0]} on {targets[0].node}", "good")
        else:
            self.say(f"{verb}: all {len(done)} are done and were read back", "good")

    def _tell_failures(
        self, verb: ContainerVerb, failed: list[tuple[Target, Problem]], count: int
    ) -> None:
        target, problem = failed[0]
        if count > 1:
            others = [f"{t.node}/{t.container.name}: {p.detail}" for t, p in failed[:_LISTED]]
            problem = Problem(
                code=problem.code,
                title=f"{verb} failed for {len(failed)} of {plural(count, 'container')}",
                status=problem.status,
                detail="\n".join(others),
                hint=problem.hint,
            )
        self.show_problem(problem, about=f"{verb} {target.container.name} on {target.node}")


def must_type(verb: ContainerVerb, targets: list[Target]) -> str | None:
    """What has to be typed: nothing for one container outside production."""
    if len(targets) > 1:
        return f"{verb} {len(targets)}"
    if targets[0].production or action_by_id(f"container.{verb}").danger == "type-name":
        name = targets[0].container.name
        # A name that a keyboard cannot type is not asked for.
        return name if name.isascii() and name.isprintable() else verb
    return None


def question(verb: ContainerVerb, targets: list[Target]) -> list[Entry]:
    """What is about to be done, to what, and where."""
    nodes = sorted({target.node for target in targets})
    production = sorted({target.node for target in targets if target.production})
    if len(targets) == 1:
        container = targets[0].container
        entries = [
            Entry("", f"{verb.capitalize()} {container.name} on {nodes[0]}?", "accent"),
            BLANK,
            Entry("image  ", container.image),
            Entry("state  ", container.state),
        ]
    else:
        what = plural(len(targets), "container")
        where = plural(len(nodes), "node")
        entries = [Entry("", f"{verb.capitalize()} {what} on {where}?", "accent"), BLANK]
        entries += [Entry("", f"{t.node}/{t.container.name}") for t in targets[:_LISTED]]
        if len(targets) > _LISTED:
            entries.append(Entry("", f"and {len(targets) - _LISTED} more", "dim"))
    if production:
        entries += [BLANK, Entry("", f"PRODUCTION: {', '.join(production)}", "bad")]
    return entries
