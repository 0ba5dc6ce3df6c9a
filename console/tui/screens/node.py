"""One node: its GPUs with their last ten minutes, and its sections."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual.widget import Widget

from agent.protocol.problems import ProblemError
from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.history import SECONDS, UtilizationHistory
from console.tui.ports import Context
from console.tui.rows.cells import Column, Row, plain
from console.tui.rows.containers import NODE_COLUMNS as CONTAINER_COLUMNS
from console.tui.rows.containers import containers_unknown, node_container_rows
from console.tui.rows.findings import NODE_COLUMNS as FINDING_COLUMNS
from console.tui.rows.findings import finding_of, node_finding_rows
from console.tui.rows.gpus import NODE_COLUMNS as GPU_COLUMNS
from console.tui.rows.gpus import node_gpu_rows
from console.tui.rows.jobs import NODE_COLUMNS as JOB_COLUMNS
from console.tui.rows.jobs import job_command, node_job_rows
from console.tui.rows.model import TableModel
from console.tui.rows.node import (
    FACT_COLUMNS,
    PROCESS_COLUMNS,
    fact_rows,
    process_rows,
    processes_unknown,
    records_unknown,
)
from console.tui.screens.container_actions import ContainerActions
from console.tui.screens.node_text import fold, more_entries, summary_of, why_entries
from console.tui.screens.pin_flow import Target
from console.tui.screens.tables import TableView
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece
from console.tui.widgets.page import Entry, Page, wrap_entry
from console.tui.widgets.table import RowTable

# From so many rows on there is room for findings and facts below the table.
_TALL = 38
# From so many on the figures may take two.
_TWO_LINES = 20
# What a node's problem may take in any case, and what it leaves to bars and tables.
_WHY_LINES = 5
_TABLES_LINES = 13


class Section(NamedTuple):
    """A part of the node below its GPUs."""

    name: str
    columns: tuple[Column, ...]
    rows: Callable[[NodeView], list[Row]]
    sort: str | None
    unknown: Callable[[NodeView], str]
    """Why nobody knows its rows; empty where they are known."""


SECTIONS = (
    Section("containers", CONTAINER_COLUMNS, node_container_rows, "name", containers_unknown),
    Section("processes", PROCESS_COLUMNS, process_rows, None, processes_unknown),
    Section("jobs", JOB_COLUMNS, node_job_rows, "state", records_unknown),
    Section("findings", FINDING_COLUMNS, node_finding_rows, None, records_unknown),
    Section("facts", FACT_COLUMNS, fact_rows, None, records_unknown),
)


class NodeScreen(TableView, ContainerActions):
    """`:node NAME`."""

    scope: ClassVar[Scope] = "node"
    columns = CONTAINER_COLUMNS

    def __init__(self, context: Context, command: Command) -> None:
        name = command.argument.removeprefix("@").strip()
        if name not in context.fleet.nodes:
            raise ProblemError(
                "fleet.node_unknown",
                f"There is no node {name[:60]!r}" if name else "No node was named",
                hint="Type :node and Tab to complete its name, or :fleet to see all.",
            )
        super().__init__(context, command)
        self.crumb = name
        self.node_name = name
        self.section = 0
        self.models = [_model_of(section) for section in SECTIONS]
        self.model = self.models[0]
        self.model.narrow(command.filter)
        self.table = RowTable(self.model, context.look, keep_cursor=True)
        self.gpu_model = TableModel(GPU_COLUMNS)
        self.gpus = RowTable(self.gpu_model, context.look)
        self.gpus.can_focus = False
        self._history_width = 0
        self.history = UtilizationHistory()
        self._summary = Bar(context.look)
        self._summary_rest = Bar(context.look)
        self._why = Page(context.look)
        self._why.can_focus = False
        self._more = Page(context.look)
        self._more.can_focus = False
        self._tabs = Bar(context.look)

    @property
    def node(self) -> NodeView:
        return self.context.fleet.nodes[self.node_name]

    @property
    def selector(self) -> str:
        return ""

    def body(self) -> Sequence[Widget]:
        tables = (self.gpus, self._tabs, self.table)
        return [self._summary, self._summary_rest, self._why, *tables, self._more]

    def is_production(self) -> bool:
        return self.node.entry.production

    # bringing it up to date

    def resume(self) -> None:
        super().resume()
        # What happened while another screen was on top is fetched too.
        run_beside(self, self._fetch_history, group="history", exclusive=True)

    async def _fetch_history(self) -> None:
        try:
            client = self.context.fleet.client(self.node_name)
            history = await client.history(metric="utilization_percent", seconds=SECONDS)
        except ProblemError:
            return  # the line then begins now; why the node does not answer stands above it
        self.history.take(history, clock_offset=self.node.clock_offset_seconds or 0.0)
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        if self.node_name not in self.context.fleet.nodes:
            return
        view = self.node
        self._show_gpus(view)
        for section, model in zip(SECTIONS, self.models, strict=True):
            model.put(self.node_name, section.rows(view))
        self.table.bring_up_to_date()
        self._show_summary(view)
        self._show_why(view)
        self._show_more(view)
        self._show_tabs()
        self.show_bars()
        self.dirty.clear()

    def when_empty(self) -> str:
        if self.model.total:
            return super().when_empty()
        section = SECTIONS[self.section]
        reason = section.unknown(self.node)
        return f"{section.name} unknown: {reason}" if reason else f"no {section.name}"

    def _show_summary(self, view: NodeView) -> None:
        """On two lines where one is too short for all of it and the screen is not."""
        width = max(1, self.size.width - 2 * self.is_production())
        first, second = fold(summary_of(view), width)
        self._summary.show(first if self.size.height >= _TWO_LINES else [*first, *second])
        self._summary_rest.display = bool(second) and self.size.height >= _TWO_LINES
        self._summary_rest.show(second)

    def _show_why(self, view: NodeView) -> None:
        entries = why_entries(view)
        self._why.display = bool(entries)
        width = max(1, self.size.width - 2 * self.is_production())
        lines = sum(len(wrap_entry(entry, width)) for entry in entries)
        room = max(_WHY_LINES, self.size.height - _TABLES_LINES)
        self._why.styles.height = max(1, min(lines, room))
        self._why.show(entries)

    def _show_gpus(self, view: NodeView) -> None:
        now, glyphs = time.time(), self.context.look.glyphs
        if view.state == "live":
            for uuid, record in view.sections.get("gpus", {}).items():
                self.history.note(uuid, now, record.get("utilization_percent"))
        width = self._history_width = self.gpus.width_of("history")

        def line(uuid: str) -> str:
            return self.history.line(uuid, now, width, glyphs) if width else ""

        rows = node_gpu_rows(view, glyphs, line)
        self.gpu_model.put(self.node_name, rows)
        node = view.node()
        reason = node.gpu_reason or node.gpu_state.replace("_", " ") if node is not None else ""
        self.gpus.empty = f"no GPU figures: {reason or 'the agent has not answered yet'}"
        most = max(2, (self.size.height - 6) // 2)
        self.gpus.styles.height = min(most, 1 + max(1, len(rows)))
        self.gpus.bring_up_to_date()

    def _show_more(self, view: NodeView) -> None:
        """On a tall terminal: findings in full, then the facts."""
        self._more.display = self.size.height >= _TALL
        if self._more.display:
            self._more.show(more_entries(view))

    def _show_tabs(self) -> None:
        pieces: list[Piece] = []
        for index, (section, model) in enumerate(zip(SECTIONS, self.models, strict=True)):
            unknown = not model.total and section.unknown(self.node)
            number = f" {'?' if unknown else model.total}" if section.name != "facts" else ""
            here = index == self.section
            text = f"[{section.name}{number}]" if here else f" {section.name}{number} "
            pieces.append((text, "accent" if here else "dim"))
        hidden = self.gpu_model.total - self.gpus.body_height if self.gpus.size.height else 0
        what = "rows" if any("/" in row.key for row in self.gpu_model.shown) else "GPUs"
        more = f"{hidden} more {what}: type :gpus @{self.node_name} " if hidden > 0 else ""
        self._tabs.show(pieces, [(more, "warn")] if more else [])

    def on_row_table_moved(self) -> None:
        """The history's length goes by its column, which has a width only now."""
        if self._history_width != self.gpus.width_of("history"):
            self._show_gpus(self.node)

    # keys

    def act_section(self) -> None:
        self._turn(1)

    def act_section_back(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        self.section = (self.section + step) % len(SECTIONS)
        self.model = self.models[self.section]
        self.table.take_columns(self.model)
        self._show_tabs()
        self.show_bars()

    def container_rows(self) -> list[Row]:
        return self.targets() if self.section == 0 else []

    def current_row(self) -> Row | None:
        """Of the sections whose rows are containers, or about one."""
        name = SECTIONS[self.section].name
        return self.table.current if name in {"containers", "processes"} else None

    def target_of(self, row: Row) -> Target | None:
        """A process stands for its container."""
        if SECTIONS[self.section].name == "processes":
            process = self.node.sections.get("processes", {}).get(row.key, {})
            row = row._replace(key=f"{row.group}/{process.get('container') or ''}")
        return super().target_of(row)

    def act_shell(self) -> None:
        """In the container under the cursor; on the node from the other sections."""
        if self.section == 0 and self.table.current is not None:
            super().act_shell()
        else:
            self.open_shell(self.node_name)

    def act_retry(self) -> None:
        self.context.fleet.retry(self.node_name)
        self.say(f"Trying to reach {self.node_name} now.")

    def act_placement(self) -> None:
        self.host.drill(f"placement @{self.node_name}")

    def act_workloads(self) -> None:
        self.host.drill(f"workloads @{self.node_name}")

    def act_compat(self) -> None:
        self.host.drill(f"compat @{self.node_name}")

    def act_jobs(self) -> None:
        self.host.drill(f"jobs @{self.node_name}")

    def act_images(self) -> None:
        self.host.drill(f"images @{self.node_name}")

    def act_engines(self) -> None:
        self.host.drill(f"engines @{self.node_name}")

    def act_doctor(self) -> None:
        self.host.drill(f"doctor @{self.node_name}")

    def open_row(self, row: Row) -> None:
        name = SECTIONS[self.section].name
        if name == "containers":
            self.act_logs()
        elif name == "findings":
            self._open_finding(row)
        elif name == "jobs":
            self.host.drill(job_command(row, self.context.fleet.nodes.get(row.group)))
        else:
            self._open_row_in_full(row)

    def _open_row_in_full(self, row: Row) -> None:
        """Every cell on lines of its own: facts are often longer than the line."""
        from console.tui.screens.dialog import TextDialog

        columns = zip(self.model.columns, row.cells, strict=True)
        entries = [Entry(f"{column.title}: ", plain(cell)) for column, cell in columns]
        self.app.push_screen(TextDialog(self.context, entries, title=self.node_name))

    def _open_finding(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog
        from console.tui.screens.finding import finding_entries

        finding = finding_of(self.node, row.key)
        if finding is not None:
            entries = finding_entries(finding, self.node)
            self.app.push_screen(TextDialog(self.context, entries, title=finding.severity))


def _model_of(section: Section) -> TableModel:
    model = TableModel(section.columns)
    if section.sort is not None:
        model.sort_by(section.sort)
    return model
