"""Asking a node how it is, and to be brought back: see `agent.protocol.snapshots`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import msgspec

from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.snapshots import NodeSnapshot, RestoreRequest
from console.link.requests import Call, Requests, decode

# The digest of a model that nobody asked for yet takes as long as reading it.
TAKE_SECONDS = 300.0
# Docker writes images to its own disk before the first byte comes.
EXPORT_SECONDS = 900.0


class SnapshotClient:
    """All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def take(self, *, environment: bool = False) -> NodeSnapshot:
        """How the node is now; values of environments only where they are asked for."""
        target = "/v1/snapshot?environment=true" if environment else "/v1/snapshot"
        content = await self._requests.exchange(Call(target=target, timeout=TAKE_SECONDS))
        return decode(self._node, content, NodeSnapshot)

    async def restore(self, request: RestoreRequest, key: str) -> Job:
        """Begin, or find, the job that has the node be so."""
        call = Call(
            method="POST",
            target="/v1/snapshot/restore",
            headers=[(IDEMPOTENCY_HEADER, key)],
            body=msgspec.json.encode(request),
        )
        return decode(self._node, await self._requests.exchange(call), Job)

    def export_images(self, images: Sequence[str]) -> AsyncIterator[bytes]:
        """These images as one archive, in pieces."""
        query = urlencode([("image", image) for image in images])
        return self._pieces(f"/v1/images/export?{query}")

    def read_model(self, name: str) -> AsyncIterator[bytes]:
        """The bytes of a model, in pieces."""
        return self._pieces(f"/v1/models/content?{urlencode({'name': name})}")

    def _pieces(self, target: str) -> AsyncIterator[bytes]:
        call = Call(target=target, timeout=EXPORT_SECONDS)
        return self._requests.pieces(call, silence=EXPORT_SECONDS)
