"""Images across the fleet: which node has what, and which names mean different images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

from console.fleet.selectors import check_selector, parse_selector
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.images import COLUMNS, image_on, image_rows
from console.tui.screens.image_actions import ImageActions
from console.tui.screens.import_flow import ImportFlow
from console.tui.screens.push_flow import PushFlow
from console.tui.screens.tables import TableView
from console.tui.widgets.line import Piece


class ReadsImages(ImageActions, PushFlow, ImportFlow, TableView):
    """What both screens about images share: nodes are asked on opening and when asked to."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._seen_version = -1

    def node_names(self) -> Sequence[str]:
        """The nodes that are asked."""
        raise NotImplementedError

    def fill(self, changed: AbstractSet[str] | None) -> None:
        """Put what the shelf has into the table. `changed`: only these nodes differ, and not in
        what they have; None: anything may."""
        raise NotImplementedError

    def arrive(self) -> None:
        super().arrive()
        self.act_images_read()

    def act_images_read(self) -> None:
        """Ask the nodes again."""
        shelf = self.context.shelf

        async def read() -> None:
            await shelf.read(self.context.fleet, self.node_names())
            self.bring_up_to_date()

        self.run_worker(read(), group="images", exclusive=True, exit_on_error=False)

    def nodes_read(self) -> None:
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        version = self.context.shelf.version
        self.fill(self.dirty if self._seen_version == version else None)
        self._seen_version = version
        self.table.bring_up_to_date()
        self.dirty.clear()
        if self.is_current:
            self.show_bars()

    def redress(self) -> None:
        self._seen_version = -1
        super().redress()

    def when_empty(self) -> str:
        shelf, names = self.context.shelf, self.node_names()
        if shelf.reading and not any(name in shelf.images for name in names):
            return "asking the nodes ..."
        return super().when_empty()

    def position(self) -> list[Piece]:
        shelf, names = self.context.shelf, self.node_names()
        pieces = super().position()
        silent = sum(name in shelf.problems for name in names)
        if silent:
            pieces.append((f" {silent} did not answer", "warn"))
        at = shelf.oldest(names)
        if shelf.reading:
            pieces.append((" reading", "dim"))
        elif at is not None:
            pieces.append((f" read {words.age(max(0.0, time.time() - at))} ago", "dim"))
        return pieces


class ImagesScreen(ReadsImages):
    """`:images SELECTOR /FILTER`. Enter shows one image node by node."""

    scope: ClassVar[Scope] = "images"
    columns = COLUMNS
    first_sort = "image"
    noun = "image"

    def node_names(self) -> Sequence[str]:
        return self._names

    def take_selectors(self, *texts: str) -> None:
        """Here they choose the nodes that are asked: rows are no node's."""
        nodes = self.context.fleet.nodes
        selectors = [parse_selector(text) for text in texts if text]
        for selector in selectors:
            check_selector(selector, [view.entry for view in nodes.values()])
        self._names = [
            name
            for name, view in nodes.items()
            if all(selector.matches(name, view.entry.labels) for selector in selectors)
        ]
        self._seen_version = -1

    def fill(self, changed: AbstractSet[str] | None) -> None:
        if changed is not None:
            return  # no row here says how a node is
        from console.images.matrix import by_name

        shelf = self.context.shelf
        answered = [name for name in self._names if name in shelf.images]
        same = by_name({name: shelf.images[name] for name in answered})
        self.model.put("", image_rows(same, answered))

    def is_production(self) -> bool:
        nodes = self.context.fleet.nodes
        return bool(self._names) and all(nodes[name].entry.production for name in self._names)

    def open_row(self, row: Row) -> None:
        self.host.drill(f"image {row.key}")

    def image_to_tag(self) -> str | None:
        row = self.table.current
        return row.key if row is not None else None

    def images_by_node(self) -> Mapping[str, Sequence[str]]:
        shelf = self.context.shelf
        keys = [row.key for row in self.targets()]
        chosen = {
            name: [key for key in keys if image_on(shelf, name, key) is not None]
            for name in self._names
        }
        return {name: images for name, images in chosen.items() if images}

    def push_selector(self) -> str:
        return ",".join(part for part in (self.selector, self._labels) if part)

    def import_node(self) -> str | None:
        return self._names[0] if len(self._names) == 1 else None
