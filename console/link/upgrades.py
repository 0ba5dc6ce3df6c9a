"""Upgrades of a node's agent, see `agent.protocol.upgrades`. Changes need an admin's client."""

from __future__ import annotations

import msgspec

from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.upgrades import AgentUpgrade, ConfirmRequest, GiveUpRequest, UpgradeRequest
from console.link.requests import Call, Requests, decode

PATH = "/v1/agent/upgrade"


class UpgradeClient:
    """All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def show(self) -> AgentUpgrade:
        """Which kit runs there, and what became of the last upgrade."""
        return decode(self._node, await self._requests.exchange(Call(target=PATH)), AgentUpgrade)

    async def begin(self, request: UpgradeRequest, key: str) -> Job:
        """Begin, or find, the job that tries a kit which lies there."""
        return decode(self._node, await self._post("", request, key), Job)

    async def confirm(self, kit: str) -> AgentUpgrade:
        """Keep the agent on trial that answers."""
        return decode(
            self._node, await self._post("/confirm", ConfirmRequest(id=kit)), AgentUpgrade
        )

    async def revert(self, why: str) -> AgentUpgrade:
        """End the trial."""
        return decode(self._node, await self._post("/revert", GiveUpRequest(why=why)), AgentUpgrade)

    async def _post(self, where: str, body: msgspec.Struct, key: str | None = None) -> bytes:
        call = Call(
            method="POST",
            target=PATH + where,
            body=msgspec.json.encode(body),
            headers=[] if key is None else [(IDEMPOTENCY_HEADER, key)],
        )
        return await self._requests.exchange(call)
