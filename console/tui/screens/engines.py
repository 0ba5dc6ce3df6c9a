"""TensorRT engines across the fleet: for each model on each node, the one in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.engines import COLUMNS, engine_rows, in_use, row_subject
from console.tui.screens.engine_actions import EngineActions, NodeEngine


class EnginesScreen(EngineActions):
    """`:engines SELECTOR /FILTER`. Enter shows all engines of that model on that node."""

    scope: ClassVar[Scope] = "engines"
    columns = COLUMNS
    first_sort = "model"
    noun = "engine"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return engine_rows(view, self.context.built)

    def engine_targets(self) -> Sequence[NodeEngine]:
        built, nodes = self.context.built, self.context.fleet.nodes
        found = []
        for row in self.targets():
            node, model = row_subject(row.key)
            engine = in_use(built.models(node).get(model, []))
            if engine is not None and node in nodes:
                found.append(NodeEngine(nodes[node], engine))
        return found

    def model_under_cursor(self) -> tuple[str, str] | None:
        row = self.table.current
        node, model = row_subject(row.key) if row is not None else ("", "")
        return (node, model) if model else None

    def open_row(self, row: Row) -> None:
        node, model = row_subject(row.key)
        problem = self.context.built.problems.get(node)
        if not model and problem is not None:
            self.show_problem(problem, about=node)
        elif not self.context.built.models(node).get(model):
            self.act_engine_watch()
        else:
            self.host.drill(f"engine @{node} {model}")
