"""Docker Engine and Podman, as the rest of the agent sees them."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any, Literal

from agent.containers import actions, exec_session, inspection, logs, recreation
from agent.containers.addresses import usual_addresses
from agent.containers.connection import CALLS_AT_ONCE, Connection, Json, Patience
from agent.containers.container_problems import not_found
from agent.containers.figures import Figures
from agent.containers.images import Images
from agent.containers.images_results import ImageRemoval, ImageUsage, LoadedImages
from agent.containers.inspection import RUNNING, Inspected, inspected
from agent.containers.keeper import Keeper
from agent.containers.log_request import LogRequest
from agent.containers.naming import checked, fits
from agent.containers.refusals import understood
from agent.containers.table import ContainerTable
from agent.containers.workers import Workers
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.containers import (
    LOG_LINE_LIMIT_BYTES,
    Container,
    ContainerChange,
    ContainerDetails,
    ContainerFigures,
    ExecRequest,
    LogLine,
)
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import NodeImage
from agent.protocol.node import RuntimeFacts
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)


class DockerRuntime:
    """The node's container runtime through its socket; see `runtime.ContainerRuntime`.

    Args:
        addresses: sockets to try in this order, "unix:///var/run/docker.sock"; where None, the
            usual ones.
        root: where /proc and /sys of the machine are.
    """

    def __init__(
        self,
        addresses: Sequence[str] | None = None,
        *,
        root: Path = Path("/"),
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._workers = Workers("runtime", count=CALLS_AT_ONCE, waiting=4 * CALLS_AT_ONCE)
        self._table = ContainerTable(self._tell)
        self._keeper = Keeper(
            addresses or usual_addresses(os.environ),
            self._workers,
            self._table,
            self._patience,
            changed=self._tell,
        )
        self._figures = Figures(root)
        self._images = Images(self._keeper)
        self._callbacks: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Begin to follow the runtime. A second call has no effect."""
        self._keeper.start()

    async def stop(self) -> None:
        """Give threads, streams and sockets back. A call that hangs is left behind."""
        await self._keeper.stop()
        await self._figures.stop()
        self._workers.stop()

    async def facts(self) -> RuntimeFacts:
        """As last known; waits for the first attempt."""
        await self._keeper.first_attempt()
        return self._keeper.facts

    def containers(self) -> Mapping[str, Container]:
        """The containers by id; another mapping after every change."""
        return self._table.containers

    @property
    def losses(self) -> int:
        """How often it was there, and was not any more."""
        return self._keeper.losses

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop after the containers or the runtime's state changed."""
        self._callbacks.append(callback)

    async def figures(self) -> tuple[ContainerFigures, ...]:
        """CPU and memory of every running container."""
        running = [
            one
            for container in self._table.containers.values()
            if container.state in RUNNING and (one := self._table.known(container.id))
        ]
        return await self._figures.read(running, self._keeper.connection)

    async def details(self, name: str) -> ContainerDetails:
        """What a person sees of one container, asked just now."""
        connection, answer = await self._ask(name)
        figures = self._figures.latest(str(answer["Id"]))
        return understood(lambda: inspection.details(answer, figures), connection.address)

    async def act(
        self,
        name: str,
        action: Literal["start", "stop", "restart"],
        *,
        timeout_seconds: int | None = None,
    ) -> ContainerChange:
        """Start, stop or restart, then read back what became of it."""
        connection, one = await self._inspect(name)
        return await actions.act(
            connection,
            one,
            action,
            timeout_seconds=timeout_seconds,
            patience=self._patience,
            seen=self._table.put,
        )

    async def logs(
        self,
        name: str,
        *,
        follow: bool,
        since: str | None = None,
        until: str | None = None,
        tail: int | None = None,
        line_limit_bytes: int = LOG_LINE_LIMIT_BYTES,
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines in batches; the first batch is empty and says that the runtime agreed."""
        asked = LogRequest.parse(
            follow=follow, since=since, until=until, tail=tail, now=time.time()
        )
        connection, one = await self._inspect(name)
        async with contextlib.aclosing(
            logs.read(connection, one, asked, self._patience, line_limit_bytes)
        ) as batches:
            async for batch in batches:
                yield batch

    async def exec(self, name: str, request: ExecRequest) -> exec_session.DockerExec:
        """Run a command in a container; comes back when the command runs."""
        connection, one = await self._inspect(name)
        return await exec_session.start(connection, one, request)

    async def inspect(self, name: str) -> Json:
        """All that the runtime knows of one container."""
        return (await self._ask(name))[1]

    async def create_container(
        self, name: str, body: Mapping[str, Any], networks: Mapping[str, Mapping[str, Any]]
    ) -> str:
        """Make a container; its id."""
        return await recreation.create(await self._keeper.ready(), name, body, networks)

    async def rename_container(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        await recreation.rename(await self._keeper.ready(), container_id, name)

    async def remove_container(self, container_id: str) -> None:
        """Remove a stopped container, never its volumes."""
        await recreation.remove(await self._keeper.ready(), container_id)

    async def signal_container(self, container_id: str, signal: str) -> None:
        """Send a signal to its first process."""
        await recreation.send_signal(await self._keeper.ready(), container_id, signal)

    async def discard_container(self, container_id: str) -> None:
        """Kill and remove it, with its anonymous volumes."""
        await recreation.discard(await self._keeper.ready(), container_id)

    async def set_restart_policy(self, container_id: str, policy: Mapping[str, Any]) -> None:
        """Change what the runtime does when the container ends."""
        await recreation.set_restart_policy(await self._keeper.ready(), container_id, policy)

    async def run_health_check(self, container_id: str) -> None:
        """Podman's: Docker runs them by itself."""
        await recreation.run_health_check(await self._keeper.ready(), container_id)

    async def labelled(self, label: str) -> list[str]:
        """Ids of containers with this label, newest first."""
        return await recreation.labelled(await self._keeper.ready(), label)

    async def changed_paths(self, container_id: str) -> list[str]:
        """What was changed inside it."""
        return await recreation.changed_paths(await self._keeper.ready(), container_id)

    async def image_environment(self, image: str) -> list[str]:
        """NAME=VALUE, each."""
        return await recreation.image_environment(await self._keeper.ready(), image)

    async def has_network(self, name: str) -> bool:
        """Whether there is a network of that name."""
        return await recreation.has_network(await self._keeper.ready(), name)

    async def volume_options(self, name: str) -> Mapping[str, str] | None:
        """What a volume was made with."""
        return await recreation.volume_options(await self._keeper.ready(), name)

    async def ensure_network(self, name: str, settings: Mapping[str, Any]) -> bool:
        """Make a network where there is none of that name."""
        return await recreation.ensure_network(await self._keeper.ready(), name, settings)

    async def images(self) -> list[NodeImage]:
        """The images, asked just now."""
        return await self._images.images()

    async def image(self, reference: str) -> NodeImage:
        """One image, asked just now."""
        return await self._images.image(reference)

    async def load_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        *,
        size_bytes: int | None = None,
        platform: tuple[str, str, str] | None = None,
    ) -> LoadedImages:
        """Stream an archive into the runtime."""
        return await self._images.load(chunks, size_bytes=size_bytes, platform=platform)

    async def build_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        request: BuildImageRequest,
        told: Callable[[str], None],
    ) -> str:
        """Build an image with the runtime's builder."""
        return await self._images.build(chunks, request, told)

    def save_images(self, references: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Stream images out as one archive."""
        return self._images.save(references)

    async def check_image(
        self, reference: str, *, diff_ids: Sequence[str] | None = None
    ) -> NodeImage:
        """Look whether an image is whole."""
        return await self._images.check(reference, diff_ids)

    async def image_needs(self, reference: str, *, inside: bool = False) -> ImageNeeds:
        """What an image needs to run."""
        return await self._images.needs(reference, inside=inside)

    async def image_packages(
        self, reference: str, heard: Callable[[int, int], None]
    ) -> PackageList:
        """What is installed in an image."""
        return await self._images.packages(reference, heard)

    async def tag_image(self, reference: str, tag: str) -> NodeImage:
        """Give an image a tag."""
        return await self._images.tag(reference, tag)

    async def untag_image(self, tag: str) -> None:
        """Take a tag away, never the image."""
        await self._images.untag(tag)

    async def remove_image(self, reference: str) -> ImageRemoval:
        """Remove an image, or one of its tags."""
        return await self._images.remove(reference)

    async def image_usage(self) -> ImageUsage:
        """What images take on disk."""
        return await self._images.usage()

    async def _inspect(self, name: str) -> tuple[Connection, Inspected]:
        connection, answer = await self._ask(name)
        return connection, understood(lambda: inspected(answer), connection.address)

    async def _ask(self, name: str) -> tuple[Connection, Json]:
        """All that the runtime knows of the container that is meant."""
        connection = await self._keeper.ready()
        wanted = checked(name, self._table.containers)
        try:
            answer = await connection.inspect(wanted)
        except ProblemError as problem:
            if problem.code != "container.not_found":
                raise
            raise not_found(wanted, self._table.containers) from problem
        one = understood(lambda: inspected(answer), connection.address)
        if not fits(wanted, one.container):
            raise not_found(wanted, self._table.containers)
        return connection, answer

    def _tell(self) -> None:
        for callback in self._callbacks:
            _call(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        log.exception("a callback after a change failed")
