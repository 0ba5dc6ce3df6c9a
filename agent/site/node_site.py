"""The site side of one node: whether it can be a seed, what it grants, what it fetches."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from typing import NamedTuple

from agent.images.blobs import BlobStore, StoredBlob
from agent.images.node_images import NodeImages
from agent.jobs.jobs import Jobs
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.site import FetchRequest, GrantRequest, Held, SiteGrant, SiteStatus
from agent.site import seed_problems as problems
from agent.site.addresses import check_addresses, reachable
from agent.site.fetch_job import FetchKind
from agent.site.fetching import Fetcher
from agent.site.grants import Grants
from agent.site.seed_server import SeedServer

SIMULATED = "this node is simulated: it has no network of its own"
NOT_SET = "site_listen is not set in its agent.yaml"
NO_ADDRESS = "it has no address that others could reach"
# So much of the fingerprint names this node where its bytes are named after it.
NAME_DIGITS = 16


# An address of a network that comes up later than the agent.
LISTEN_AGAIN_SECONDS = 15.0

log = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    open: Callable[[], socket.socket]
    context: ssl.SSLContext
    fingerprint: str


class _Served:
    """Its layers, and what else it has."""

    def __init__(self, blobs: BlobStore, others: Callable[[str], StoredBlob | None]) -> None:
        self._blobs, self._others = blobs, others

    def open_stored(self, diff_id: str) -> StoredBlob:
        if not self._blobs.has(diff_id) and (other := self._others(diff_id)) is not None:
            return other
        return self._blobs.open_stored(diff_id)


class NodeSite:
    """What the handlers of one node need for its site."""

    def __init__(
        self,
        *,
        name: str,
        images: NodeImages,
        jobs: Jobs,
        others: Callable[[str], StoredBlob | None] = lambda _: None,
    ) -> None:
        """Registers its job.

        `others` opens what is no layer by its digest; it blocks. None: it is not here, either.
        """
        self._name, self._images, self._jobs = name, images, jobs
        self._others = others
        self._grants = Grants()
        self._wanted: _Wanted | None = None
        self._socket: socket.socket | None = None
        self._server: SeedServer | None = None
        self._reason = NOT_SET
        self._trying: asyncio.Task[None] | None = None
        jobs.register(FetchKind(Fetcher(blobs=images.blobs, uploads=images.uploads)))

    def listen(
        self, listening: Callable[[], socket.socket], context: ssl.SSLContext, fingerprint: str
    ) -> None:
        """Serve the site from `start` on, on the socket that `listening` opens.

        Where it cannot be opened (ProblemError) that is tried again, and stops nothing else.
        """
        self._wanted = _Wanted(listening, context, fingerprint)

    async def start(self) -> None:
        """Begin to serve, where it was told to listen."""
        if self._wanted is None or not isinstance(self._images.blobs, BlobStore):
            return
        if not await self._open(self._wanted, self._images.blobs):
            log.warning("its site is not served yet: %s", self._reason)
            self._trying = asyncio.create_task(
                self._keep_trying(self._wanted, self._images.blobs), name="site listener"
            )

    async def stop(self) -> None:
        """End what is being served."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()
        if self._socket is not None:
            self._socket.close()

    async def _keep_trying(self, wanted: _Wanted, blobs: BlobStore) -> None:
        while True:
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)
            if await self._open(wanted, blobs):
                log.info("its site is served now")
                return

    async def _open(self, wanted: _Wanted, blobs: BlobStore) -> bool:
        try:
            self._socket = wanted.open()
        except ProblemError as problem:
            self._reason = problem.detail
            return False
        digits = wanted.fingerprint.rpartition(":")[2][:NAME_DIGITS]
        served = _Served(blobs, self._others)
        server = SeedServer(served, self._images.uploads, self._grants, name=digits)
        await server.start(self._socket, wanted.context)
        self._server = server
        return True

    async def status(self) -> SiteStatus:
        """Whether it can be a seed."""
        if not isinstance(self._images.blobs, BlobStore):
            return SiteStatus(listening=False, reason=SIMULATED)
        if self._wanted is None or self._socket is None or self._server is None:
            return SiteStatus(listening=False, reason=self._reason)
        host, port = self._socket.getsockname()[:2]
        addresses = await asyncio.to_thread(reachable, host, port)
        return SiteStatus(
            listening=bool(addresses),
            addresses=addresses,
            fingerprint=self._wanted.fingerprint,
            reason=None if addresses else NO_ADDRESS,
        )

    async def held(self, diff_ids: Collection[str]) -> Held:
        """Those of these layers that it could serve: that it has is not enough."""
        blobs = self._images.blobs
        there = isinstance(blobs, BlobStore)
        return Held(diff_ids=[each for each in diff_ids if there and blobs.has(each)])

    async def grant(self, request: GrantRequest) -> SiteGrant:
        """Let others fetch these layers for a while.

        Raises:
            ProblemError: `site.off`, `site.too_many`.
        """
        status = await self.status()
        if not status.listening or status.fingerprint is None:
            raise problems.off(f"{self._name} serves no layers: {status.reason}")
        secret = self._grants.mint(request.diff_ids, lifetime_seconds=request.lifetime_seconds)
        return SiteGrant(
            node=self._name,
            addresses=status.addresses,
            fingerprint=status.fingerprint,
            secret=secret,
            expires_in_seconds=request.lifetime_seconds,
        )

    async def fetch(self, request: FetchRequest, *, owner: str, key: str | None) -> Job:
        """The job that has these layers from a seed.

        Raises:
            ProblemError: `site.off` on a simulated node, `request.invalid`, and those of
                `Jobs.submit`.
        """
        if not isinstance(self._images.blobs, BlobStore):
            raise problems.off(SIMULATED)
        check_addresses(request.grant)
        return await self._jobs.submit("image.fetch", request, owner=owner, key=key)
