"""Asking a node about its TensorRT engines: see `agent.protocol.engines`."""

from __future__ import annotations

import builtins
from urllib.parse import quote

import msgspec

from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from console.link.requests import Call, Requests, decode


class EngineClient:
    """One node's engines. All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def list(self) -> builtins.list[Engine]:
        """The engines that were built there, by model, newest first."""
        content = await self._requests.exchange(Call(target="/v1/engines"))
        return decode(self._node, content, builtins.list[Engine])

    async def show(self, model: str) -> builtins.list[Engine]:
        """Those of one model, newest first."""
        target = f"/v1/engines/{quote(model, safe='')}"
        content = await self._requests.exchange(Call(target=target))
        return decode(self._node, content, builtins.list[Engine])

    async def build(self, request: BuildRequest, key: str) -> Job:
        """Begin, or find, the job that has the engine."""
        call = Call(
            method="POST",
            target="/v1/engines/build",
            headers=[(IDEMPOTENCY_HEADER, key)],
            body=msgspec.json.encode(request),
        )
        return decode(self._node, await self._requests.exchange(call), Job)
