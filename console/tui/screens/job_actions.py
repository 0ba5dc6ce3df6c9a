"""Cancel and retry of jobs."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from agent.protocol.images import ImportRequest
from agent.protocol.jobs import ENDED, Job
from console.fleet.picture import NodeView
from console.text import clean, plural
from console.tui.rows.jobs import progress_text, state_text
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.widgets.page import Entry


class NodeJob(NamedTuple):
    """A job and where it is."""

    view: NodeView
    job: Job


class JobActions(Carrying):
    """For screens that are about jobs."""

    def job_targets(self) -> Sequence[NodeJob]:
        """The jobs that cancel and retry are about: marked ones, else the current one."""
        raise NotImplementedError

    def act_job_cancel(self) -> None:
        found = self.job_targets()
        targets = [each for each in found if each.job.state not in ENDED]
        if not targets:
            self.say(_nothing(found, "there is nothing to cancel"))
            return

        def cancel(target: NodeJob) -> Callable[[], Awaitable[str]]:
            async def do() -> str:
                client = self.context.fleet.client(target.view.name)
                job = await client.cancel_job(target.job.id)
                return f"{_what(job)} is {state_text(job)}"

            return do

        about = [Entry("", "What runs puts things in order first; what was there stays.", "dim")]
        if len(targets) == 1:
            job = targets[0].job
            text = f"{state_text(job)} {job.stage or ''} {progress_text(job)}"
            about = [Entry("now  ", text), Entry("by   ", job.owner), *about]
        tasks = [_task(each, cancel(each)) for each in targets]
        # "cancel" twice in one window would be misread: that button closes it.
        self.give(Order("end", "ending", "job", tasks, about))

    def act_job_retry(self) -> None:
        found = self.job_targets()
        targets = [each for each in found if each.job.state in ENDED - {"succeeded"}]
        if not targets:
            self.say(_nothing(found, "there is nothing to do again"))
            return

        def retry(target: NodeJob) -> Callable[[], Awaitable[str]]:
            key = secrets.token_hex(16)

            async def do() -> str:
                client = self.context.fleet.client(target.view.name)
                job = await client.retry_job(target.job.id, key)
                return f"{_what(job)} is {state_text(job)} as {job.id}"

            return do

        if len(targets) == 1 and (images := _in_the_way(targets[0].job)):
            self._import_with_room(targets[0], images)
            return
        tasks = [_task(each, retry(each)) for each in targets]
        self.give(Order("retry", "retrying", "job", tasks))

    def _import_with_room(self, target: NodeJob, images: Sequence[str]) -> None:
        """The same import, and the word that it was refused for the want of."""
        key = secrets.token_hex(16)

        async def do() -> str:
            client = self.context.fleet.client(target.view.name)
            request = ImportRequest(path=target.job.subject, make_room=True)
            job = await client.import_images(request, key)
            return f"{_what(job)} is {state_text(job)} as {job.id}"

        many = plural(len(images), "image")
        text = f"Removes {many} to make room, which Roost loaded and nothing uses:"
        about = [Entry("", text, "warn"), Entry("", ", ".join(images))]
        self.give(Order("retry", "retrying", "job", [_task(target, do)], about))


def _in_the_way(job: Job) -> Sequence[str]:
    """The images without which an import would have found room, where it failed for that."""
    if job.kind != "image.import" or job.problem is None:
        return []
    images = job.problem.params.get("images")
    return images if job.problem.params.get("make_room") and isinstance(images, list) else []


def _task(target: NodeJob, do: Callable[[], Awaitable[str]]) -> Task:
    view = target.view
    return Task(view.name, view.entry.production, _what(target.job), do)


def _what(job: Job) -> str:
    return clean(f"{job.kind} of {job.subject}")


def _nothing(found: Sequence[NodeJob], words: str) -> str:
    if not found:
        return "There is no job under the cursor."
    if len(found) == 1:
        return f"It is {state_text(found[0].job)}: {words}."
    return f"None of these {len(found)} is in a state for it: {words}."
