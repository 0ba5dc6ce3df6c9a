"""GPUs with the containers on them; a container is moved to another GPU by keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from agent.protocol.deployments import PinRequest
from agent.protocol.workloads import GpuRequest
from console.fleet.picture import NodeView
from console.text import clean
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.placement import (
    COLUMNS,
    Carried,
    carried_key,
    found_at,
    placement_rows,
)
from console.tui.rows.places import KEPT, Place, asks_for, places, select_of
from console.tui.screens.pin_flow import Target
from console.tui.screens.reads_workloads import ReadsWorkloads

_HOW = "Up and down choose, Enter drops it, Esc puts it back."


class PlacementScreen(ReadsWorkloads):
    """`:placement SELECTOR /FILTER`. Enter opens the node, or a container's log."""

    scope: ClassVar[Scope] = "placement"
    columns = COLUMNS
    first_sort = "node"
    noun = "row"

    def __init__(self, context: Context, command: Command) -> None:
        self._carried: Carried | None = None
        super().__init__(context, command)

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return placement_rows(view, self.context.placed, self._carried)

    def when_empty(self) -> str:
        return super().when_empty() if self.model.total else "no node here has a GPU"

    def open_row(self, row: Row) -> None:
        if self.target_of(row) is not None:
            self.act_logs()
        else:
            self.host.drill(f"node {row.group}")

    def workload_under_cursor(self) -> tuple[str, str] | None:
        row = self.table.current
        target = self.target_of(row) if row is not None else None
        if target is None:
            return None
        for status in self.context.placed.of(target.node):
            if status.container == target.container.id:
                return target.node, status.name
        # One that is kept would come back by an undo of the workload that it was.
        name, kept, _ = target.container.name.partition(KEPT)
        return (target.node, name) if kept else None

    # picking up and dropping

    def act_pin_move(self) -> None:
        """Pick up the container under the cursor; drop the one that is held."""
        if self._carried is not None:
            self._drop(self._carried)
            return
        row = self.table.current
        target = self.target_of(row) if row is not None else None
        if row is None or target is None:
            self.say("Put the cursor on a container, then pick it up.")
            return
        view = self.context.fleet.nodes[target.node]
        found = found_at(view, self.context.placed, row.key)
        if found is None or self._is_busy() or self._is_kept(target):
            return
        container = target.container
        uuid = found.place.uuid
        if not _takers(view, self.context, besides=uuid):
            self.say(f"{target.node} has no other GPU that it could be moved to.", "warn")
            return
        if self.model.filter.text:
            self.model.narrow("")  # the other GPUs have to be seen
        self._carry(Carried(target.node, container.id, container.name, uuid, uuid))

    def _carry(self, carried: Carried) -> None:
        self._carried = carried
        self._show_carried(carried.node, carried_key(carried))
        self.say(f"Moving {clean(carried.name)}: {_HOW}", "warn")

    def _put_back(self, carried: Carried) -> None:
        self._carried = None
        self._show_carried(carried.node, f"{carried.node}/{carried.source}/{carried.container}")

    def _show_carried(self, node: str, key: str) -> None:
        """The node's rows as they are now, and the cursor on one of them."""
        self.model.put(node, self.rows_of(self.context.fleet.nodes[node]))
        top = self.table.top
        self.table.bring_up_to_date(reorder=True)
        shown = [row.key for row in self.model.shown]
        if key in shown:
            self.table.move_to(shown.index(key))
        self.table.show_from(top)
        self.show_bars()

    def _shift(self, steps: int) -> None:
        carried = self._carried
        if carried is None:
            return
        view = self.context.fleet.nodes[carried.node]
        takers = [place.uuid for place in _takers(view, self.context)]
        if not takers:
            return
        if carried.target in takers:
            index = takers.index(carried.target) + steps
        else:  # it was on one that cannot take anything
            index = 0 if steps > 0 else len(takers) - 1
        self._carry(carried._replace(target=takers[max(0, min(index, len(takers) - 1))]))

    def _drop(self, carried: Carried) -> None:
        target = self._held(carried)
        self._put_back(carried)
        if target is None:
            self.say(f"{clean(carried.name)} is not there any more.", "warn")
        elif carried.source == carried.target:
            self.say(f"{clean(carried.name)} stays where it is.")
        else:
            view = self.context.fleet.nodes[carried.node]
            self.offer_pin(target, PinRequest(gpu=self._request(view, target, carried)))

    def _held(self, carried: Carried) -> Target | None:
        view = self.context.fleet.nodes.get(carried.node)
        for container in view.containers() if view is not None else []:
            if view is not None and container.id == carried.container:
                return Target(carried.node, view.entry.production, container)
        return None

    def _request(self, view: NodeView, target: Target, carried: Carried) -> GpuRequest:
        """Its other GPUs stay, and all else that it was given them with."""
        wanted = [
            select_of(place)
            for place in places(view, self.context.placed)
            if place.uuid == carried.target
            or (place.uuid != carried.source and asks_for(target.container, place))
        ]
        status = self.context.placed.status(carried.node, target.container.name)
        terms = GpuRequest(select="") if status is None or status.gpu is None else status.gpu
        return msgspec.structs.replace(terms, select=",".join(wanted), count=1)

    def bring_up_to_date(self) -> None:
        carried = self._carried
        if carried is not None and self._held(carried) is None:
            self._carried = None
            self._filled = False
            self.say(f"{clean(carried.name)} is not there any more.", "warn")
        super().bring_up_to_date()

    # keys while a container is held

    def act_move_up(self) -> None:
        if not self._move(-1):
            super().act_move_up()

    def act_move_down(self) -> None:
        if not self._move(1):
            super().act_move_down()

    def act_move_page_up(self) -> None:
        if not self._move(-1):
            super().act_move_page_up()

    def act_move_page_down(self) -> None:
        if not self._move(1):
            super().act_move_page_down()

    def act_move_top(self) -> None:
        if not self._move(-len(self.model.shown)):
            super().act_move_top()

    def act_move_bottom(self) -> None:
        if not self._move(len(self.model.shown)):
            super().act_move_bottom()

    def _move(self, steps: int) -> bool:
        """Whether there is something that moves instead of the cursor."""
        if self._carried is None:
            return False
        self._shift(steps)
        return True

    def act_open(self) -> None:
        if self._carried is not None:
            self._drop(self._carried)
        else:
            super().act_open()

    def act_back(self) -> None:
        if self._carried is not None:
            self._put_back(self._carried)
            self.say("Put back: nothing has changed.")
        else:
            super().act_back()


def _takers(view: NodeView, context: Context, *, besides: str | None = None) -> list[Place]:
    """The GPUs and slices that can take a container."""
    found = places(view, context.placed)
    return [place for place in found if place.can_take and place.uuid != besides]
