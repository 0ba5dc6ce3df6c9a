"""What was measured of a model's engines on a node: latency over batch size."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget

from agent.protocol.engine_figures import EngineBench
from agent.protocol.engines import BenchRequest
from agent.protocol.jobs import ENDED, Job
from agent.rules.engine_use import in_use
from console.engines.words import milliseconds
from console.fleet.job_words import doing
from console.fleet.picture import NodeView
from console.text import clean
from console.tui.action import Scope
from console.tui.answers import FollowedAnswers
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.bench import COLUMNS, bench_rows, newest_bench, row_at
from console.tui.rows.cells import Row
from console.tui.rows.engines import about_row
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.screens.engine import node_and_model
from console.tui.screens.reads_answers import ReadsAnswers
from console.tui.widgets.bars import Bar
from console.tui.widgets.page import Entry

BENCH_KIND = "engine.bench"
BATCHES = [1, 4, 8, 16]


class BenchScreen(ReadsAnswers, Carrying):
    """`:bench @NODE MODEL`. The newest bench, row by row as it is measured."""

    scope: ClassVar[Scope] = "bench"
    columns = COLUMNS
    noun = "row"

    def __init__(self, context: Context, command: Command) -> None:
        self.node, self.model_name = node_and_model(context, command, "bench")
        super().__init__(context, command)
        self._what, self._about = Bar(context.look), Bar(context.look)

    @property
    def selector(self) -> str:
        return f"@{self.node}"

    @property
    def answers(self) -> FollowedAnswers[list[EngineBench]]:
        return self.context.benches

    def body(self) -> Sequence[Widget]:
        return [self._what, self.table, self._about]

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        bench = self._bench()
        if view.name != self.node or bench is None:
            return []
        return bench_rows(view, bench, self.context.look.glyphs)

    def _bench(self) -> EngineBench | None:
        return newest_bench(self.context.benches.said.get(self.node, []), self.model_name)

    def _job(self) -> Job | None:
        """The bench that is under way."""
        view = self.context.fleet.nodes.get(self.node)
        jobs = view.jobs() if view is not None else []
        kinds = (job for job in jobs if job.kind == BENCH_KIND and job.state not in ENDED)
        return next((job for job in kinds if job.subject == self.model_name), None)

    def when_empty(self) -> str:
        problem = self.context.benches.problems.get(self.node)
        if problem is not None:
            return problem.detail
        if self._job() is not None or self.answers.reading:
            return super().when_empty()
        return f"{self.model_name} was not measured here yet: a measures it"

    def show_bars(self) -> None:
        """And which one is recommended, and why the row under the cursor has no figures."""
        super().show_bars()
        bench, job = self._bench(), self._job()
        about = _words(bench) if bench is not None else ""
        running = f"measuring: {doing(job)}" if job is not None else ""
        self._what.show([(f" {clean(about)}", "accent")], [(f"{clean(running)} ", "dim")])
        row = self.table.current
        text = about_row(row, self.columns) if row is not None else ""
        self._about.show([(f" {text}", "dim")] if text else [])

    def open_row(self, row: Row) -> None:
        """Why there is no engine."""
        bench = self._bench()
        measured = row_at(bench, row.key) if bench is not None else None
        if measured is not None and measured.problem is not None:
            self.show_problem(measured.problem, about=f"{self.model_name} on {self.node}")
        elif measured is not None:
            why = about_row(row, self.columns)
            self.say(why or "It was measured: all is in its row.")

    def act_engines_read(self) -> None:
        self.read_again()

    def act_bench_run(self) -> None:
        self.begin(self._offer(), f"asking {self.node} ...")

    async def _offer(self) -> None:
        """By the recipe of the engine in use."""
        built = self.context.built
        await built.read(self.context.fleet, [self.node])
        engines = [e for e in built.said.get(self.node, []) if e.model == self.model_name]
        engine = next(iter(in_use(engines)), None)
        request = engine.again() if engine is not None else None
        view = self.context.fleet.nodes.get(self.node)
        if request is None or view is None:
            self.call_later(
                self.say, "There is no engine with a recipe: roost engine bench takes one."
            )
            return
        wanted = BenchRequest(
            recipe=request.recipe,
            gpu=request.gpu,
            batches=BATCHES,
            precisions=[request.recipe.precision],
            cuda_graphs=request.recipe.validation.cuda_graphs,
        )
        self.call_later(self._ask_for, view, wanted)

    def _ask_for(self, view: NodeView, request: BenchRequest) -> None:
        key = secrets.token_hex(16)

        async def do() -> str:
            client = self.context.fleet.client(self.node)
            job = await client.engines.bench(request, key)
            return f"bench of {clean(self.model_name)} is {job.state} as {job.id}"

        what = f"engine {clean(self.model_name)}"
        about = [
            Entry("batches    ", ", ".join(map(str, request.batches))),
            Entry("precision  ", "as its recipe says"),
            Entry("", "Each is built, measured and thrown away; the GPU is busy meanwhile.", "dim"),
            Entry("", "roost engine bench takes other sizes and precisions.", "dim"),
        ]
        task = Task(self.node, view.entry.production, what, do)
        self.give(Order("measure", "asking for", "engine", [task], about))


def _words(bench: EngineBench) -> str:
    """What was measured with what, and which is best."""
    flavour = "RTX" if bench.flavour == "tensorrt_rtx" else "TensorRT"
    parts = [f"{flavour} {bench.tensorrt}"]
    if bench.gpu:
        parts.append(bench.gpu)
    if bench.fixed_batch is not None:
        parts.append(f"batch fixed at {bench.fixed_batch}")
    if bench.max_latency_ms is not None:
        parts.append(f"p99 at most {milliseconds(bench.max_latency_ms)}")
    if bench.recommended is not None:
        row = bench.rows[bench.recommended]
        parts.append(f"best: {row.precision}, batch {row.batch}: {bench.why}")
    elif bench.why:
        parts.append(f"none is best: {bench.why}")
    return "  ".join(parts)
