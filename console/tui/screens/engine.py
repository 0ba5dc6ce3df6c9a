"""The engines of one model on one node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from agent.protocol.engines import Engine, EngineRemoveRequest, UseRequest
from agent.protocol.problems import ProblemError
from console.engines.words import short_key
from console.fleet.picture import NodeView
from console.text import clean
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context, EngineClient
from console.tui.rows.cells import Row
from console.tui.rows.engine import engine_entries
from console.tui.rows.engines import NODE_COLUMNS, node_engine_rows
from console.tui.screens.carrying import Order, Task
from console.tui.screens.engine_actions import EngineActions, NodeEngine
from console.tui.widgets.page import Entry

LOG_LINES = 500


class EngineScreen(EngineActions):
    """`:engine @NODE MODEL`. Enter shows all about an engine."""

    scope: ClassVar[Scope] = "engine"
    columns = NODE_COLUMNS
    first_sort = "built"
    noun = "engine"

    def __init__(self, context: Context, command: Command) -> None:
        self.node, self.model_name = node_and_model(context, command, "engine")
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

    def act_engine_use(self) -> None:
        view, engine = self._under_cursor()
        if view is None or engine is None:
            return
        if engine.current:
            self.say("It is in use already.")
            return

        async def do() -> str:
            request = UseRequest(key=engine.manifest.key)
            await self._client().use(self.model_name, request)
            await self._read_now()
            return f"{self._named(engine)} is in use"

        about = [Entry("", "The one before stays, and can be used again.", "dim")]
        task = Task(self.node, view.entry.production, self._named(engine), do)
        self.give(Order("use", "switching to", "engine", [task], about))

    def act_engine_remove(self) -> None:
        found = self.engine_targets()
        targets = [each for each in found if not each.engine.current]
        if not targets:
            self.say("The one in use is not removed here: roost engine rm --force does.")
            return

        def remove(engine: Engine) -> Callable[[], Awaitable[str]]:
            async def do() -> str:
                request = EngineRemoveRequest(key=engine.manifest.key)
                await self._client().remove(self.model_name, request)
                await self._read_now()
                return f"{self._named(engine)} is removed"

            return do

        tasks = [
            Task(
                self.node, each.view.entry.production, self._named(each.engine), remove(each.engine)
            )
            for each in targets
        ]
        self.give(Order("remove", "removing", "engine", tasks, done="are removed"))

    def act_engine_log(self) -> None:
        _, engine = self._under_cursor()
        if engine is not None:
            self.begin(self._show_log(engine), f"asking {self.node} ...")

    async def _show_log(self, engine: Engine) -> None:
        log = await self._client().log(self.model_name, engine.manifest.key)
        lines = log.text.splitlines()
        entries = [Entry("", line) for line in lines[-LOG_LINES:]]
        if len(lines) > LOG_LINES or log.cut_bytes:
            entries.insert(0, Entry("", "What came before: roost engine log", "dim"))

        def show() -> None:
            from console.tui.screens.dialog import TextDialog

            self.app.push_screen(
                TextDialog(self.context, entries, title=f"log of {self._named(engine)}")
            )

        self.call_later(show)

    def _under_cursor(self) -> tuple[NodeView | None, Engine | None]:
        row = self.table.current
        engine = self._engine(row.key) if row is not None else None
        return self.context.fleet.nodes.get(self.node), engine

    def _client(self) -> EngineClient:
        return self.context.fleet.client(self.node).engines

    async def _read_now(self) -> None:
        await self.context.built.read(self.context.fleet, [self.node])
        self.bring_up_to_date()

    def _named(self, engine: Engine) -> str:
        return clean(f"{self.model_name} {short_key(engine.manifest.key)}")

    def open_row(self, row: Row) -> None:
        from console.tui.screens.dialog import TextDialog

        view, engine = self.context.fleet.nodes.get(self.node), self._engine(row.key)
        if view is None or engine is None:
            return
        entries = engine_entries(engine, view.clock_offset_seconds or 0.0)
        title = f"{self.model_name} {short_key(row.key)} on {self.node}"
        self.app.push_screen(TextDialog(self.context, entries, title=title))


def node_and_model(context: Context, command: Command, view: str) -> tuple[str, str]:
    """ "@cam-01 detector".

    Raises:
        ProblemError: `fleet.node_unknown`, `console.usage`.
    """
    node, _, model = command.argument.removeprefix("@").partition(" ")
    if node in context.fleet.nodes and model.strip():
        return node, model.strip()
    unknown = node and node not in context.fleet.nodes
    raise ProblemError(
        "fleet.node_unknown" if unknown else "console.usage",
        f"There is no node {node[:60]!r}" if unknown else "No model was named",
        hint=f"Type :{view} @NODE MODEL, or :engines to choose one.",
    )
