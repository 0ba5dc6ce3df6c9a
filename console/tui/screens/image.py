"""One image, node by node."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from console.images.matrix import ImageLine, by_name, lines_of
from console.text import clean
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.images import NODE_COLUMNS, image_on, on_node_row
from console.tui.screens.images import ReadsImages
from console.tui.widgets.page import Entry


class ImageScreen(ReadsImages):
    """`:image TAG`: each node's own, or that it has none."""

    scope: ClassVar[Scope] = "image"
    columns = NODE_COLUMNS
    first_sort = "node"
    noun = "node"

    def __init__(self, context: Context, command: Command) -> None:
        if not command.argument:
            raise ProblemError(
                "console.usage", "No image was named", hint="Type :images to choose one."
            )
        self.image = command.argument
        super().__init__(context, command)
        self._line: ImageLine | None = None

    @property
    def selector(self) -> str:
        return ""

    def node_names(self) -> Sequence[str]:
        return list(self.context.fleet.nodes)

    def bring_up_to_date(self) -> None:
        # An age grows without any word from the node.
        nodes = self.context.fleet.nodes
        self.dirty |= {name for name, view in nodes.items() if view.state != "live"}
        super().bring_up_to_date()

    def fill(self, changed: AbstractSet[str] | None) -> None:
        shelf, nodes = self.context.shelf, self.context.fleet.nodes
        if changed is None:
            self._line = self._on_all()
        for name in nodes if changed is None else changed & nodes.keys():
            self.model.put(name, [on_node_row(nodes[name], shelf, self.image, self._line)])

    def _on_all(self) -> ImageLine | None:
        found = lines_of(by_name(self.context.shelf.images))
        return next((line for line in found if line.key == self.image), None)

    def open_row(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog

        image = image_on(self.context.shelf, row.group, self.image)
        if image is None:
            problem = self.context.shelf.problems.get(row.group)
            if problem is not None:
                self.show_problem(problem, about=row.group)
            else:
                self.say(f"{row.group} does not have it.")
            return
        self.app.push_screen(TextDialog(self.context, image_entries(image), title=row.group))

    def act_image_packages(self) -> None:
        row = self.table.current
        image = image_on(self.context.shelf, row.group, self.image) if row is not None else None
        if row is None or image is None:
            self.say("There is no node under the cursor that has it.")
            return
        words = f"{row.group} looks into {clean(self.image)} ..."
        self.begin(self._show_packages(row.group, image.id), words)

    async def _show_packages(self, node: str, image: str) -> None:
        from console.tui.screens.packages import package_entries, read_packages

        try:
            found = await read_packages(self.context.fleet.client(node), image)
        except ProblemError as error:
            self.show_problem(error.problem(), about=node)
            return

        def show() -> None:
            from console.tui.screens.dialog import TextDialog

            self.app.push_screen(TextDialog(self.context, package_entries(found), title=node))

        self.call_later(show)

    def image_to_tag(self) -> str | None:
        return self.image

    def images_by_node(self) -> Mapping[str, Sequence[str]]:
        shelf = self.context.shelf
        names = sorted(row.group for row in self.targets())
        return {name: [self.image] for name in names if image_on(shelf, name, self.image)}

    def push_selector(self) -> str:
        return ",".join(f"@{row.group}" for row in self.targets())

    def import_node(self) -> str | None:
        row = self.table.current
        return row.group if row is not None else None


def image_entries(image: NodeImage) -> list[Entry]:
    """Everything that a node says of an image."""
    platform = "/".join(part for part in (image.os, image.architecture, image.variant) if part)
    entries = [
        Entry("tags      ", ", ".join(image.tags) or "none"),
        Entry("id        ", image.id),
        Entry("config    ", image.config_digest or "not known on this store"),
        Entry("size      ", words.size(image.size_bytes)),
        Entry("platform  ", platform),
        Entry("named     ", _moment(image.tagged_at)),
        Entry("built     ", _moment(image.created_at)),
        Entry("used by   ", clean(", ".join(image.containers)) or "no container"),
    ]
    if image.protected:
        entries.append(Entry("kept      ", image.protected))
    layers = [
        Entry("layers    " if not n else " " * 10, id_) for n, id_ in enumerate(image.diff_ids)
    ]
    return [*entries, *layers]


def _moment(at: float | None) -> str:
    """A time on this machine's clock."""
    return "not known" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
