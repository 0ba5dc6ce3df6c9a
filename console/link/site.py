"""Asking a node about its site: see `agent.protocol.site`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.protocol.images import Layer
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.problems import ProblemError
from agent.protocol.site import (
    FetchRequest,
    GrantRequest,
    Held,
    HeldRequest,
    SiteGrant,
    SiteStatus,
)
from console.link.requests import Call, Requests, decode

OLD_AGENT = "its agent is older than this"


class SiteClient:
    """One node's site side. All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def status(self) -> SiteStatus:
        """Whether it can be a seed. An agent that does not know the question cannot."""
        try:
            content = await self._requests.exchange(Call(target="/v1/site"))
        except ProblemError as problem:
            if problem.code != "request.not_found":
                raise
            return SiteStatus(listening=False, reason=OLD_AGENT)
        return decode(self._node, content, SiteStatus)

    async def held(self, diff_ids: Sequence[str]) -> set[str]:
        """Which of these layers it could serve."""
        content = await self._post("/v1/site/held", HeldRequest(diff_ids=list(diff_ids)))
        return set(decode(self._node, content, Held).diff_ids)

    async def grant(self, diff_ids: Sequence[str], *, lifetime_seconds: int) -> SiteGrant:
        """Let other nodes fetch these layers from it for a while."""
        request = GrantRequest(diff_ids=list(diff_ids), lifetime_seconds=lifetime_seconds)
        return decode(self._node, await self._post("/v1/site/grants", request), SiteGrant)

    async def fetch(self, grant: SiteGrant, layers: Sequence[Layer], key: str) -> Job:
        """Begin, or find, the job that has these layers from the seed that made the grant."""
        request = FetchRequest(grant=grant, layers=list(layers))
        content = await self._post("/v1/site/fetches", request, (IDEMPOTENCY_HEADER, key))
        return decode(self._node, content, Job)

    async def _post(self, target: str, request: msgspec.Struct, *headers: tuple[str, str]) -> bytes:
        body = msgspec.json.encode(request)
        call = Call(method="POST", target=target, headers=list(headers), body=body)
        return await self._requests.exchange(call)
