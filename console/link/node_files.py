"""A node's models and release files; bundles bring them, see `agent.protocol.node_files`."""

from __future__ import annotations

import builtins

import msgspec

from agent.protocol.node_files import FileRemoveRequest, PlacedFile
from console.link.requests import Call, Requests, decode


class FileClient:
    """All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def list(self) -> list[PlacedFile]:
        """What is there, by kind and name."""
        return await self._files(Call(target="/v1/files"))

    async def remove(self, request: FileRemoveRequest) -> builtins.list[PlacedFile]:
        """Remove one; what is left."""
        body = msgspec.json.encode(request)
        return await self._files(Call(method="POST", target="/v1/files/remove", body=body))

    async def _files(self, call: Call) -> builtins.list[PlacedFile]:
        return decode(self._node, await self._requests.exchange(call), builtins.list[PlacedFile])
