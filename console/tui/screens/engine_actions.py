"""Building engines again, and looking at how that goes."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from textual.widget import Widget

from agent.protocol.engines import BuildRequest, Engine, VerifyRequest
from console.engines.words import precision, tensorrt
from console.fleet.picture import NodeView
from console.text import clean
from console.tui.built import Built
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.engines import about_row, build_jobs
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.screens.reads_answers import ReadsAnswers
from console.tui.widgets.bars import Bar
from console.tui.widgets.page import Entry

_NO_ENGINE = "There is no engine under the cursor: roost engine build makes the first."
_NO_RECIPE = "It was imported, and has no recipe to build it from."


class NodeEngine(NamedTuple):
    """An engine and where it is."""

    view: NodeView
    engine: Engine


class EngineActions(ReadsAnswers, Carrying):
    """For screens that are about engines."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._about = Bar(context.look)

    @property
    def answers(self) -> Built:
        return self.context.built

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about]

    def show_bars(self) -> None:
        """And why the engine under the cursor is as it is."""
        super().show_bars()
        row = self.table.current
        text = about_row(row, self.columns) if row is not None else ""
        self._about.show([(f" {text}", "dim")] if text else [])

    def engine_targets(self) -> Sequence[NodeEngine]:
        """The engines that an action is about: marked ones, else the current one."""
        raise NotImplementedError

    def model_under_cursor(self) -> tuple[str, str] | None:
        """Node and model."""
        raise NotImplementedError

    def act_engines_read(self) -> None:
        self.read_again()

    def act_engine_watch(self) -> None:
        here = self.model_under_cursor()
        view = self.context.fleet.nodes.get(here[0]) if here is not None else None
        job = build_jobs(view).get(here[1]) if here is not None and view is not None else None
        if here is None or job is None:
            self.say("The node tells of no build of it: :jobs lists what it still knows.")
            return
        self.host.drill(f"build @{here[0]} {job.id}")

    def act_engine_build(self) -> None:
        found = self.engine_targets()
        targets = [
            (each, request) for each in found if (request := each.engine.again(rebuild=True))
        ]
        if not targets:
            self.say(_NO_RECIPE if found else _NO_ENGINE)
            return
        about = [Entry("", "The one in use stays until the new one was tried.", "dim")]
        if len(targets) == 1:
            about = [*_before(targets[0][0].engine), *about]
        tasks = [_task(each, self._build(each, request)) for each, request in targets]
        done = "are under way: b shows one"
        self.give(Order("build", "asking for", "engine", tasks, about, done=done))

    def act_engine_verify(self) -> None:
        targets = self.engine_targets()
        if not targets:
            self.say(_NO_ENGINE)
            return
        about = [Entry("", "Nothing is built. One that turns out bad is not used any more.", "dim")]
        tasks = [_task(each, self._verify(each)) for each in targets]
        done = "are under way: :jobs shows them"
        self.give(Order("try", "asking for", "engine", tasks, about, done=done))

    def act_engine_bench(self) -> None:
        here = self.model_under_cursor()
        if here is not None:
            self.host.drill(f"bench @{here[0]} {here[1]}")

    def _verify(self, target: NodeEngine) -> Callable[[], Awaitable[str]]:
        key, engine = secrets.token_hex(16), target.engine

        async def do() -> str:
            client = self.context.fleet.client(target.view.name)
            request = VerifyRequest(key=engine.manifest.key)
            job = await client.engines.verify(engine.model, request, key)
            return f"the trial of {_what(target)} is {job.state} as {job.id}"

        return do

    def _build(self, target: NodeEngine, request: BuildRequest) -> Callable[[], Awaitable[str]]:
        key = secrets.token_hex(16)

        async def do() -> str:
            client = self.context.fleet.client(target.view.name)
            job = await client.engines.build(request, key)
            return f"{_what(target)} is {job.state} as {job.id}: b shows it"

        return do


def _before(engine: Engine) -> list[Entry]:
    """The build that is to be done again."""
    recipe, took = engine.manifest.parts.recipe, words.age(engine.manifest.build_seconds)
    return [
        Entry("onnx       ", recipe.onnx if recipe is not None else ""),
        Entry("precision  ", precision(engine)),
        Entry("before     ", f"took {took}, with {tensorrt(engine)}"),
    ]


def _what(target: NodeEngine) -> str:
    return f"engine {clean(target.engine.model)}"


def _task(target: NodeEngine, do: Callable[[], Awaitable[str]]) -> Task:
    view = target.view
    return Task(view.name, view.entry.production, _what(target), do)
