"""A node's secrets: set and removed, never read. It needs an admin's client."""

from __future__ import annotations

from urllib.parse import quote

from agent.protocol.node_secrets import NodeSecret
from console.link.requests import Call, Requests, decode


class SecretClient:
    """All methods raise ProblemError: the agent's own, or `link.*`. None has a value in it."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def list(self) -> list[NodeSecret]:
        """The names, by name."""
        content = await self._requests.exchange(Call(target="/v1/secrets"))
        return decode(self._node, content, list[NodeSecret])

    async def set(self, name: str, value: bytes) -> NodeSecret:
        """Keep a value under a name, instead of the one that was there."""
        call = Call(
            method="PUT",
            target=_target(name),
            body=value,
            media_type="application/octet-stream",
        )
        return decode(self._node, await self._requests.exchange(call), NodeSecret)

    async def remove(self, name: str) -> None:
        """Have it be no more."""
        await self._requests.exchange(Call(method="DELETE", target=_target(name)))


def _target(name: str) -> str:
    return f"/v1/secrets/{quote(name, safe='')}"
