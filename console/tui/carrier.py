"""The real way of archives to nodes: over the links that the fleet is followed by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.fleet.back_off import jitter
from console.tui.terms import Terms

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from agent.protocol.site import SiteStatus
    from console.fleet.inventory import NodeEntry
    from console.images.push import Push, PushState
    from console.images.quiet import Quiet
    from console.images.rate import RateLimit
    from console.images.sites import Account
    from console.link.client import NodeClient

# Each layer that is being compressed takes some 8 MB here.
_LAYERS_AT_ONCE = 16


class LinkCarrier:
    """Imports what it needs when an archive is first chosen: most sessions push nothing."""

    def __init__(self, client: Callable[[str], NodeClient], environment: Mapping[str, str]) -> None:
        self._client = client
        base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._cache_folder = Path(base) / "roost" / "archives"

    def read(self, path: Path, heard: Callable[[int, int], None]) -> ArchiveIndex:
        """As `console.tui.ports.Carrier`."""
        from agent.archives.cache import IndexCache

        return IndexCache(self._cache_folder).index(path.absolute(), heard=heard)

    def convoy(
        self,
        nodes: Sequence[NodeEntry],
        archive: ArchiveIndex,
        terms: Terms,
        on_change: Callable[[], None],
    ) -> LinkConvoy:
        """As `console.tui.ports.Carrier`."""
        from console.images.rate import RateLimit

        limit = RateLimit(terms.bytes_per_second)
        verified = self._cache_folder.with_name("verified")
        return LinkConvoy(self._client, nodes, archive, terms, limit, on_change, verified=verified)

    async def site(self, node: str) -> SiteStatus:
        """As `console.tui.ports.Carrier`."""
        return await self._client(node).sites.status()


class LinkConvoy:
    """As `console.tui.ports.Convoy`."""

    def __init__(
        self,
        client: Callable[[str], NodeClient],
        nodes: Sequence[NodeEntry],
        archive: ArchiveIndex,
        terms: Terms,
        limit: RateLimit,
        on_change: Callable[[], None],
        *,
        verified: Path,
        helpers: Sequence[NodeEntry] = (),
    ) -> None:
        """`verified` is the folder that says which layers were read to their end before."""
        from agent.archives.verified_cache import VerifiedCache
        from console.images.sending import AT_ONCE
        from console.images.sites import Sites
        from console.images.vetting import Vetting

        self._client, self._archive, self._terms = client, archive, terms
        self._limit, self._changed = limit, on_change
        self._verified, self._vetting = verified, Vetting(VerifiedCache(verified))
        self._at_once = max(1, min(AT_ONCE, _LAYERS_AT_ONCE // max(1, len(nodes))))
        self._sites = Sites(
            [*nodes, *helpers] if terms.via_site else (),
            lambda entry: client(entry.name),
            [archive],
            limit=limit,
            budget_bytes=terms.budget_bytes,
            quiet=self._quiet,
            at_once=self._at_once,
            random=jitter(),
            changed=on_change,
            close=False,  # the fleet is followed over them
        )
        for entry in helpers:
            self._sites.ended(entry.name)

    async def begin(self) -> None:
        """Choose the seeds."""
        await self._sites.begin()

    def pusher(self, node: str) -> Push:
        """The push to a node. Raises ProblemError."""
        from console.images.push import Push

        return Push(
            self._client(node),
            [self._archive],
            limit=self._limit,
            budget_bytes=self._terms.budget_bytes,
            quiet=self._quiet(),
            at_once=self._at_once,
            other_way=self._sites.other_way(node),
            vetting=self._vetting,
            make_room=self._terms.make_room,
            on_change=self._changed,
            random=jitter(),
        )

    def _quiet(self) -> Quiet | None:
        """The quiet hours of one node."""
        from console.images.quiet import Quiet, parse_quiet

        return Quiet(parse_quiet(self._terms.quiet)) if self._terms.quiet else None

    def goes_first(self, node: str) -> bool:
        """Whether it is a seed."""
        return self._sites.is_seed(node)

    def ended(self, node: str, *, stopped: bool) -> None:
        """A seed goes on for the others of its site, unless it was stopped."""
        if stopped:
            self._sites.leave_out(node)
        else:
            self._sites.ended(node)

    def account(self, state: PushState) -> Account:
        """Which way the layers of a node took."""
        return self._sites.account(state)

    async def end(self) -> None:
        """Hear of the last fetches, then let go of the sites."""
        try:
            await self._sites.settle()
        finally:
            await self._vetting.stop()
            await self._sites.end()

    def again(
        self, nodes: Sequence[NodeEntry], helpers: Sequence[NodeEntry], terms: Terms
    ) -> LinkConvoy:
        """To these nodes once more; what still goes on under the same rate counts for it too."""
        from console.images.rate import RateLimit

        same = terms.bytes_per_second == self._terms.bytes_per_second
        limit = self._limit if same else RateLimit(terms.bytes_per_second)
        return LinkConvoy(
            self._client,
            nodes,
            self._archive,
            terms,
            limit,
            self._changed,
            verified=self._verified,
            helpers=helpers,
        )
