"""From a node's media to an import: which archive that lies there, and go."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from agent.protocol.images import ImportRequest, Medium
from console.text import clean
from console.tui.commands import complete
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.widgets.page import Entry
from console.tui.widgets.question import Question

_COLUMNS = (
    Column("path", "ARCHIVE", (26, 40, 60, 80), grow=60),
    Column("size", "SIZE", (6, 6, 6, 6), "right"),
    Column("age", "AGE", (3, 3, 4, 4)),
    Column("on", "ON", (12, 16, 24, 30)),
)
_ANOTHER = ""


class ImportFlow(Carrying):
    """For screens from which archives that lie on a node are loaded."""

    def import_node(self) -> str | None:
        """The node that this is about; None: it has to be asked."""
        raise NotImplementedError

    def act_image_import(self) -> None:
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        node = self.import_node()
        if node is not None:
            self._look(node)
            return
        nodes = sorted(self.context.fleet.nodes)

        def answered(name: str | None) -> None:
            name = (name or "").strip().removeprefix("@")
            if name in self.context.fleet.nodes:
                self._look(name)
            elif name:
                self.say(f"There is no node {clean(name)[:40]}.", "warn")

        self.ask(
            Question(
                "import on node: ",
                answered,
                complete=lambda text: complete(f"node {text}", nodes).removeprefix("node "),
            )
        )

    def _look(self, node: str) -> None:
        self.begin(self._find(node), f"looking for archives on {node} ...")

    async def _find(self, node: str) -> None:
        media = await self.context.fleet.client(node).media()
        self.call_later(self._choose, node, media)

    def _choose(self, node: str, media: Sequence[Medium]) -> None:
        from console.tui.screens.choosing import ChooseRow

        another = _only_text(_ANOTHER, "another path on the node ...", "accent")
        rows = [*_rows(media), another, *_reasons(media)]

        def chosen(path: str | None) -> None:
            if path == _ANOTHER:
                self._ask_path(node)
            elif path is not None and path.startswith("/"):
                self._import(node, path)

        title = f"Archives on {node}"
        self.app.push_screen(ChooseRow(self.context, _COLUMNS, rows, title=title), chosen)

    def _ask_path(self, node: str) -> None:
        def answered(path: str | None) -> None:
            if path and path.strip():
                self._import(node, path.strip())

        self.ask(Question(f"path on {node}: ", answered, text="/"))

    def _import(self, node: str, path: str) -> None:
        key = secrets.token_hex(16)

        async def do() -> str:
            request = ImportRequest(path=path)
            job = await self.context.fleet.client(node).import_images(request, key)
            self.host.drill(f"job @{node} {job.id}")
            return f"the import of {path} has begun"

        view = self.context.fleet.nodes[node]
        about = [Entry("", "What has the same names there loses them, and stays.", "dim")]
        task = Task(node, view.entry.production, path, do)
        self.give(Order("import", "importing", "archive", [task], about))


def _rows(media: Sequence[Medium]) -> list[Row]:
    found = [(archive, medium) for medium in media for archive in medium.archives]
    return [
        make_row(
            archive.path,
            "",
            (
                Cell(archive.path),
                Cell(words.size(archive.size_bytes)),
                Cell(words.age(max(0.0, time.time() - archive.modified_at)), "dim"),
                Cell(f"{medium.device} {medium.filesystem}".strip(), "dim"),
            ),
        )
        for archive, medium in found
    ]


def _reasons(media: Sequence[Medium]) -> list[Row]:
    """Media without archives, and why they were not looked through."""
    if not media:
        return [_only_text("!", "the node found no archive by itself", "dim")]
    return [
        _only_text(f"!{medium.path}", f"{medium.path}: {medium.reason or 'no archive'}", "warn")
        for medium in media
        if medium.reason or not medium.archives
    ]


def _only_text(key: str, text: str, tone: str) -> Row:
    return make_row(key, "", (Cell(text, tone), Cell(""), Cell(""), Cell("")))
