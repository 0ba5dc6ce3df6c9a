"""The site side of one node: whether it can be a seed, what it grants, what it fetches."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Collection
from typing import NamedTuple

from agent.images.blobs import BlobStore
from agent.images.node_images import NodeImages
from agent.jobs.jobs import Jobs
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.site import FetchRequest, GrantRequest, Held, SiteGrant, SiteStatus
from agent.site import seed_problems as problems
from agent.site.addresses import reachable
from agent.site.fetch_job import FetchKind
from agent.site.grants import Grants
from agent.site.seed_server import SeedServer

SIMULATED = "this node is simulated: it has no network of its own"
NOT_SET = "site_listen is not set in its agent.yaml"
NO_ADDRESS = "it has no address that others could reach"
# So much of the fingerprint names this node where its bytes are named after it.
NAME_DIGITS = 16


class _Listening(NamedTuple):
    socket: socket.socket
    context: ssl.SSLContext
    fingerprint: str


class NodeSite:
    """What the handlers of one node need for its site."""

    def __init__(self, *, name: str, images: NodeImages, jobs: Jobs) -> None:
        """Registers its job."""
        self._name, self._images, self._jobs = name, images, jobs
        self._grants = Grants()
        self._listening: _Listening | None = None
        self._server: SeedServer | None = None
        jobs.register(FetchKind(blobs=images.blobs, uploads=images.uploads))

    def listen(self, listening: socket.socket, context: ssl.SSLContext, fingerprint: str) -> None:
        """Serve the site on this socket from `start` on; it is closed at the end."""
        self._listening = _Listening(listening, context, fingerprint)

    async def start(self) -> None:
        """Begin to serve, where it was told to listen."""
        blobs, listening = self._images.blobs, self._listening
        if listening is None or not isinstance(blobs, BlobStore):
            return
        digits = listening.fingerprint.rpartition(":")[2][:NAME_DIGITS]
        self._server = SeedServer(blobs, self._images.uploads, self._grants, name=digits)
        await self._server.start(listening.socket, listening.context)

    async def stop(self) -> None:
        """End what is being served."""
        if self._server is not None:
            await self._server.stop()
        if self._listening is not None:
            self._listening.socket.close()

    async def status(self) -> SiteStatus:
        """Whether it can be a seed."""
        if not isinstance(self._images.blobs, BlobStore):
            return SiteStatus(listening=False, reason=SIMULATED)
        if self._listening is None or self._server is None:
            return SiteStatus(listening=False, reason=NOT_SET)
        host, port = self._listening.socket.getsockname()[:2]
        addresses = await asyncio.to_thread(reachable, host, port)
        return SiteStatus(
            listening=bool(addresses),
            addresses=addresses,
            fingerprint=self._listening.fingerprint,
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
        for address in request.grant.addresses:
            _check(address)
        return await self._jobs.submit("image.fetch", request, owner=owner, key=key)


def _check(address: str) -> None:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.strip("[]"))
        if 0 < int(port) < 2**16:
            return
    raise ProblemError(
        "request.invalid",
        f"{address} is no address of a node: digits and a port",
        params={"address": address},
        hint="Take the grant as the seed answered it.",
    )
