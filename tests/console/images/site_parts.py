"""Nodes of one site in this process: real agents with files, TLS between them, counted links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from agent.archives.index import ArchiveIndex
from agent.http.certificate import ensure_certificate, fingerprint, server_context
from agent.http.sockets import listen_tcp
from console.fleet.inventory import NodeEntry
from console.images.push import Push, PushState
from console.images.rate import RateLimit
from console.images.sites import Account, Sites
from console.link.client import NodeClient
from tests.agent.doubles import make_node
from tests.console.images.cutting import CuttingLink, cutting_link
from tests.console.images.pushing import Hurry, UnixAs
from tests.console.serving import ServedAgent, serve_agent


class SiteNode(msgspec.Struct):
    """One node: its agent, and this console's link to it."""

    agent: ServedAgent
    link: CuttingLink
    entry: NodeEntry
    stop: AsyncExitStack

    @property
    def name(self) -> str:
        return self.entry.name

    def has(self, diff_id: str) -> bool:
        return self.agent.node.images.blobs.has(diff_id)


@asynccontextmanager
async def site_of(
    folder: Path, *names: str, listening: Sequence[str], site: str = "plant"
) -> AsyncIterator[dict[str, SiteNode]]:
    """Nodes of a site; those in `listening` serve it on loopback."""
    async with AsyncExitStack() as stack:
        made = {}
        for name in names:
            own = await stack.enter_async_context(AsyncExitStack())
            made[name] = await _start(own, folder / name, name, site, listens=name in listening)
        yield made


async def _start(
    stack: AsyncExitStack, folder: Path, name: str, site: str, *, listens: bool
) -> SiteNode:
    state = folder / "state"
    await asyncio.to_thread(state.mkdir, parents=True)
    node = make_node(name, state=state)
    if listens:
        certificate, key = await asyncio.to_thread(ensure_certificate, state / "site", name=name)
        node.site.listen(
            lambda: listen_tcp("127.0.0.1:0"),
            await asyncio.to_thread(server_context, certificate, key),
            await asyncio.to_thread(fingerprint, certificate),
        )
    agent = await stack.enter_async_context(serve_agent(folder, node=node))
    link = await stack.enter_async_context(cutting_link(folder / "link.sock", agent.socket))
    entry = NodeEntry(name=name, address=f"unix://{folder}/link.sock", labels={"site": site})
    return SiteNode(agent, link, entry, stack)


class Pushed(msgspec.Struct):
    """How a push to a node ended."""

    state: PushState
    account: Account


async def push_via_site(
    nodes: dict[str, SiteNode], *archives: ArchiveIndex, began: asyncio.Event | None = None
) -> dict[str, Pushed]:
    """What `roost image push --via-site` does."""
    entries = [each.entry for each in nodes.values()]
    limit = RateLimit(None)

    def connect(entry: NodeEntry) -> NodeClient:
        # Not over a fast one: over those layers go as they are.
        link = UnixAs(Path(entry.address.removeprefix("unix://")), "https")
        return NodeClient(entry.name, link, owner="maria", timeout=5)

    sites = Sites(
        entries, connect, archives, limit=limit, budget_bytes=None, at_once=3, random=Hurry()
    )

    async def one(entry: NodeEntry) -> PushState:
        client = sites.client(entry.name)
        assert client is not None
        push = Push(
            client,
            archives,
            limit=limit,
            other_way=sites.other_way(entry.name),
            give_up_seconds=5,
            random=Hurry(),
        )
        state = await push.run()
        sites.ended(entry.name)
        return state

    try:
        await sites.begin()
        if began is not None:
            began.set()
        done = await asyncio.gather(*map(one, sites.seeds_first(entries)))
        await sites.settle()
        return {state.node: Pushed(state, sites.account(state)) for state in done}
    finally:
        await sites.end()
