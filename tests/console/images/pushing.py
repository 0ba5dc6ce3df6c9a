"""Archives to push, agents that take them, and clients over links that are bad on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.images import NodeImage
from console.images.push import Push
from console.images.quiet import Quiet
from console.images.rate import RateLimit
from console.images.vetting import Vetting
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.link import LinkKind
from console.link.unix import UnixLink
from tests.agent.doubles import make_node
from tests.archives_made import Made, docker_archive, tar
from tests.console.serving import ServedAgent, serve_agent

MIB = 1024 * 1024


class Hurry(Random):
    """Has every pause end soon."""

    def uniform(self, a: float, b: float) -> float:
        del a, b
        return 0.02


class UnixAs(UnixLink):
    """A unix socket in the place of another kind of link, over which layers go compressed."""

    def __init__(self, path: Path, kind: LinkKind) -> None:
        super().__init__("t4", parse_address(f"unix://{path}"))
        self.kind = kind


def client_over(path: Path, kind: LinkKind = "unix", *, owner: str = "maria") -> NodeClient:
    """A client of the agent that is reached through the socket."""
    return NodeClient("t4", UnixAs(path, kind), owner=owner, timeout=5)


def push_over(
    client: NodeClient,
    *archives: ArchiveIndex,
    limit: RateLimit | None = None,
    budget_bytes: int | None = None,
    quiet: Quiet | None = None,
    on_change: Callable[[], None] = lambda: None,
    give_up_seconds: float = 10.0,
    vetting: Vetting | None = None,
) -> Push:
    """A push that does not dawdle."""
    return Push(
        client,
        archives,
        limit=limit or RateLimit(None),
        budget_bytes=budget_bytes,
        quiet=quiet,
        on_change=on_change,
        give_up_seconds=give_up_seconds,
        vetting=vetting,
        random=Hurry(),
    )


def noise(name: str, size: int) -> bytes:
    """A layer that compresses to little less than its half."""
    return tar({f"srv/{name}": Random(name).randbytes(size // 2).hex().encode()})


def made(name: str, *layers: bytes, architecture: str = "amd64") -> Made:
    """An image `name` of these layers."""
    return Made(list(layers), tags=[name], architecture=architecture)


def archive_of(file: Path, *images: Made) -> ArchiveIndex:
    """A plain docker-archive, indexed."""
    file.write_bytes(docker_archive(images))
    return index_archive(file)


@asynccontextmanager
async def image_agent(folder: Path) -> AsyncIterator[ServedAgent]:
    """An agent whose layers lie in files; its runtime only counts what it is given."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    async with serve_agent(folder, node=make_node(state=state)) as agent:
        yield agent


async def image_named(agent: ServedAgent, tag: str) -> NodeImage | None:
    """The image that has this name on the node."""
    for image in await agent.node.images.planner.images():
        if tag in image.tags:
            return image
    return None
