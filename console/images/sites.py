"""The sites of the nodes of one push, by their label `site`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.images.push import PushState
from console.images.rate import Allowance, RateLimit
from console.images.site_spread import SiteSpread
from console.link.client import NodeClient

LABEL = "site"


class Account(msgspec.Struct, frozen=True):
    """Which way the layers for one node took."""

    way: str  # "direct", "seed", "from NODE", "from NODE, rest direct"; "": nothing was lacking
    sent_bytes: int  # by this console to this node, also for others
    fetched_bytes: int  # from other nodes of its site


class Sites:
    """Spreads layers at each site that has several of these nodes; the others go directly."""

    def __init__(
        self,
        entries: Sequence[NodeEntry],
        connect: Callable[[NodeEntry], NodeClient],
        archives: Iterable[ArchiveIndex],
        *,
        limit: RateLimit,
        budget_bytes: int | None,
        at_once: int,
        random: Random,
    ) -> None:
        """`connect` makes the client of a node, which stays open until `end`."""
        self._clients: dict[str, NodeClient] = {}
        self._spreads: dict[str, SiteSpread] = {}  # by node
        layers = {
            layer.diff_id: layer.size_bytes for archive in archives for layer in archive.layers
        }
        for site in dict.fromkeys(entry.labels.get(LABEL, "") for entry in entries):
            clients = {}
            for entry in entries:
                if site and entry.labels.get(LABEL) == site:
                    # One whose address is no good is told by its own push.
                    try:
                        clients[entry.name] = connect(entry)
                    except ProblemError:
                        continue
            self._clients |= clients
            if len(clients) < 2:
                continue
            spread = SiteSpread(
                clients,
                layers,
                allowance=lambda: Allowance(limit, budget_bytes),
                at_once=at_once,
                random=random,
            )
            self._spreads |= dict.fromkeys(clients, spread)

    async def begin(self) -> None:
        """Choose the seeds."""
        await asyncio.gather(*(spread.begin() for spread in set(self._spreads.values())))

    def seeds_first(self, entries: Sequence[NodeEntry]) -> list[NodeEntry]:
        """The same nodes: the push of a seed must not wait for those that wait for it."""
        seeds = {spread.seed for spread in self._spreads.values()}
        return sorted(entries, key=lambda entry: entry.name not in seeds)

    def client(self, name: str) -> NodeClient | None:
        """The client of a node that has a site; it is closed at the end."""
        return self._clients.get(name)

    def other_way(self, name: str) -> SiteSpread | None:
        """For the push of a node that is not alone at its site."""
        return self._spreads.get(name)

    def ended(self, name: str) -> None:
        """The push of a node has ended."""
        if name in self._spreads:
            self._spreads[name].ended(name)

    async def settle(self) -> None:
        """Hear of what has just ended; then `account` says all."""
        await asyncio.gather(*(spread.settle() for spread in set(self._spreads.values())))

    def account(self, state: PushState) -> Account:
        """What became of the push of one node."""
        spread = self._spreads.get(state.node)
        as_seed = 0 if spread is None else spread.sent_bytes(state.node)
        fetched = 0 if spread is None else spread.fetched_bytes(state.node)
        parts = ["seed"] if as_seed else []
        if spread is not None and (names := spread.fetched_from(state.node)):
            parts.append(f"from {', '.join(names)}")
        if state.sent_bytes:
            parts.append("rest direct" if parts else "direct")
        return Account(", ".join(parts), state.sent_bytes + as_seed, fetched)

    async def end(self) -> None:
        """Close all clients."""
        for spread in set(self._spreads.values()):
            await spread.end()
        await asyncio.gather(*(client.close() for client in self._clients.values()))
