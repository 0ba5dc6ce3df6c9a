"""The build of an engine: a job, and how far it is."""

from __future__ import annotations

from agent.protocol.jobs import Job
from console.engines.build_times import BUILD_KIND, EarlierBuild, earlier_build
from console.fleet.picture import NodeView
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.build import build_entries
from console.tui.screens.job import JobScreen
from console.tui.widgets.page import Entry


class BuildScreen(JobScreen):
    """`:build @NODE ID`. Its keys are a job's."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.crumb = f"build {self.about}"

    def arrive(self) -> None:
        super().arrive()
        run_beside(self, self._read_earlier, group="engines")

    async def _read_earlier(self) -> None:
        built = self.context.built
        await built.read(self.context.fleet, [self.node])
        self.show_job()

    def entries(self, view: NodeView, width: int) -> list[Entry]:
        entries = super().entries(view, width)
        job = self.job
        if job is None or job.kind != BUILD_KIND:
            return entries
        before = self._before(view, job)
        glyphs, offset = self.context.look.glyphs, view.clock_offset_seconds or 0.0
        return [*entries[:1], *build_entries(job, before, width, glyphs, offset), *entries[1:]]

    def _before(self, view: NodeView, job: Job) -> EarlierBuild | None:
        facts = view.facts()
        gpus = [gpu.name for gpu in facts.gpus] if facts is not None else []
        return earlier_build(self.context.built.said, self.node, job.subject, job.alike, gpus)
