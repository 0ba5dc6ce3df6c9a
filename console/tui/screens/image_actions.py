"""Tag and remove of images that nodes have; push and import begin here too."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

from agent.protocol.images import RemoveRequest, TagRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.text import clean
from console.tui.ports import NodeClient
from console.tui.screens.carrying import Carrying, Order, Task
from console.tui.widgets.page import Entry
from console.tui.widgets.question import Question

Begin = Callable[[NodeClient], Awaitable[Job]]


class ImageActions(Carrying):
    """For screens that are about images."""

    def images_by_node(self) -> Mapping[str, Sequence[str]]:
        """Tags or ids that an action is about, by the nodes that have them."""
        raise NotImplementedError

    def image_to_tag(self) -> str | None:
        """The image that is to have another name: never several."""
        raise NotImplementedError

    def nodes_read(self) -> None:
        """Something has changed on nodes, and they were asked again."""

    def act_image_remove(self) -> None:
        chosen = self.images_by_node()
        if not chosen:
            self.say("There is no image under the cursor that a node has.")
            return

        def remove(images: Sequence[str]) -> Begin:
            request = RemoveRequest(images=list(images))
            key = secrets.token_hex(16)
            return lambda client: client.remove_images(request, key)

        tasks = [
            self._to_do(node, ", ".join(images), remove(images)) for node, images in chosen.items()
        ]
        about = [
            Entry("", "Never one that a container uses: the node refuses that.", "dim"),
            Entry("", "Of an image with several names only this name goes.", "dim"),
        ]
        self.give(Order("remove", "removing", "image", tasks, about))

    def act_image_tag(self) -> None:
        image = self.image_to_tag()
        nodes = [node for node, images in self.images_by_node().items() if image in images]
        if image is None or not nodes:
            self.say("There is no image under the cursor that a node has.")
            return

        def answered(tag: str | None) -> None:
            if tag and tag.strip():
                self._tag(image, tag.strip(), nodes)

        self.ask(Question(f"tag {clean(image)[:40]} as: ", answered))

    def _tag(self, image: str, tag: str, nodes: Sequence[str]) -> None:
        from agent.rules.references import split_tag

        try:
            split_tag(tag)
        except ProblemError as error:
            self.show_problem(error.problem())
            return

        def name(key: str) -> Begin:
            return lambda client: client.tag_image(TagRequest(image=image, tag=tag), key)

        tasks = [self._to_do(node, image, name(secrets.token_hex(16))) for node in nodes]
        about = [
            Entry("as ", tag),
            Entry("", "Whatever is called so there loses that name, and stays.", "dim"),
        ]
        self.give(Order("tag", "tagging", "image", tasks, about))

    def _to_do(self, node: str, what: str, begin: Begin) -> Task:
        fleet, shelf = self.context.fleet, self.context.shelf

        async def do() -> str:
            client = fleet.client(node)
            try:
                job = await see_through(client, await begin(client))
            finally:
                await shelf.read(fleet, [node])
                self.nodes_read()
            if job.state == "skipped":
                return f"nothing to do: {job.reason}"
            return ", ".join(f"{key}: {value}" for key, value in job.result.items()) or what

        return Task(node, fleet.nodes[node].entry.production, clean(what), do)


async def see_through(client: NodeClient, job: Job) -> Job:
    """The job when it has ended well.

    Raises:
        ProblemError: the job's own, `job.unsuccessful`, or `link.*` where the link is cut
            meanwhile: the job goes on then.
    """
    from console.images.following import ended_well

    async with aclosing(client.job_log(job.id, follow=True)) as batches:
        async for batch in batches:
            if isinstance(batch, Job):
                job = batch
    return ended_well(job)
