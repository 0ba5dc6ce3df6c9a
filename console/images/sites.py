"""The sites of the nodes of one push, by their label `site`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteStatus
from console.fleet.inventory import NodeEntry
from console.images.push import PushState
from console.images.quiet import Quiet
from console.images.rate import Allowance, RateLimit
from console.images.site_spread import SiteSpread
from console.link.client import NodeClient

LABEL = "site"


class Account(msgspec.Struct, frozen=True):
    """Which way the layers for one node took."""

    way: str  # "direct", "seed", "from NODE", "from NODE, rest direct"; "": nothing was lacking
    sent_bytes: int  # by this console to this node, also for others
    fetched_bytes: int  # from other nodes of its site


class SiteOutlook(msgspec.Struct, frozen=True):
    """Whether the nodes of one site can pass layers on; `text` says it in a few words."""

    site: str
    able: list[str]  # nodes that can be the seed
    text: str


def site_outlooks(
    entries: Sequence[NodeEntry], statuses: Mapping[str, SiteStatus]
) -> list[SiteOutlook]:
    """For each site that has several of these nodes.

    `statuses` are by node; of a node that is not there nobody knows.
    """
    found = []
    for site in dict.fromkeys(entry.labels.get(LABEL, "") for entry in entries):
        names = [entry.name for entry in entries if site and entry.labels.get(LABEL) == site]
        if len(names) < 2:
            continue
        able = [name for name in names if name in statuses and statuses[name].listening]
        text = f"sent once, to {' or '.join(able)}"
        if not able:
            why = dict.fromkeys(statuses[name].reason or "" for name in names if name in statuses)
            said = "; ".join(reason for reason in why if reason) or "none of its nodes answered"
            text = f"sent to each of its {len(names)} nodes: {said}"
        found.append(SiteOutlook(site, able, text))
    return found


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
        quiet: Callable[[], Quiet | None] = lambda: None,
        at_once: int,
        random: Random,
        changed: Callable[[], None] = lambda: None,
        close: bool = True,
    ) -> None:
        """`connect` makes the client of a node; with `close` it is closed at the `end`.

        `quiet` makes the quiet hours of one node.

        `changed` hears when the state of a push is another.
        """
        self._close = close
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
                allowance=lambda: Allowance(limit, budget_bytes, quiet()),
                at_once=at_once,
                random=random,
                changed=changed,
            )
            self._spreads |= dict.fromkeys(clients, spread)

    async def begin(self) -> None:
        """Choose the seeds."""
        await asyncio.gather(*(spread.begin() for spread in set(self._spreads.values())))

    def is_seed(self, name: str) -> bool:
        """Whether others wait for what this node gets."""
        return name in self._spreads and self._spreads[name].seed == name

    def seeds_first(self, entries: Sequence[NodeEntry]) -> list[NodeEntry]:
        """The same nodes: the push of a seed must not wait for those that wait for it."""
        return sorted(entries, key=lambda entry: not self.is_seed(entry.name))

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

    def leave_out(self, name: str) -> None:
        """Send this node nothing more, not for the others either."""
        if name in self._spreads:
            self._spreads[name].leave_out(name)

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
        """No push is under way any more."""
        for spread in set(self._spreads.values()):
            await spread.end()
        if self._close:
            await asyncio.gather(*(client.close() for client in self._clients.values()))
