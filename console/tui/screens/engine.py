"""The engines of one model on one node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from agent.protocol.engines import Engine
from agent.protocol.problems import ProblemError
from console.engines.words import short_key
from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.engine import engine_entries
from console.tui.rows.engines import NODE_COLUMNS, node_engine_rows
from console.tui.screens.engine_actions import EngineActions, NodeEngine


class EngineScreen(EngineActions):
    """`:engine @NODE MODEL`. Enter shows all about an engine."""

    scope: ClassVar[Scope] = "engine"
    columns = NODE_COLUMNS
    first_sort = "built"
    noun = "engine"

    def __init__(self, context: Context, command: Command) -> None:
        node, _, model = command.argument.removeprefix("@").partition(" ")
        if node not in context.fleet.nodes or not model.strip():
            unknown = node and node not in context.fleet.nodes
            raise ProblemError(
                "fleet.node_unknown" if unknown else "console.usage",
                f"There is no node {node[:60]!r}" if unknown else "No model was named",
                hint="Type :engine @NODE MODEL, or :engines to choose one.",
            )
        self.node, self.model_name = node, model.strip()
        super().__init__(context, command)

    @property
    def selector(self) -> str:
        return f"@{self.node}"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return node_engine_rows(view, self._engines()) if view.name == self.node else []

    def _engines(self) -> Sequence[Engine]:
        return self.context.built.models(self.node).get(self.model_name, [])

    def _engine(self, key: str) -> Engine | None:
        return next((each for each in self._engines() if each.manifest.key == key), None)

    def when_empty(self) -> str:
        problem = self.context.built.problems.get(self.node)
        return problem.detail if problem is not None else super().when_empty()

    def engine_targets(self) -> Sequence[NodeEngine]:
        view = self.context.fleet.nodes.get(self.node)
        engines = [self._engine(row.key) for row in self.targets()]
        return [NodeEngine(view, each) for each in engines if view is not None and each is not None]

    def model_under_cursor(self) -> tuple[str, str] | None:
        return self.node, self.model_name

    def open_row(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog

        view, engine = self.context.fleet.nodes.get(self.node), self._engine(row.key)
        if view is None or engine is None:
            return
        entries = engine_entries(engine, view.clock_offset_seconds or 0.0)
        title = f"{self.model_name} {short_key(row.key)} on {self.node}"
        self.app.push_screen(TextDialog(self.context, entries, title=title))
