"""`/v1/keys`: the keys whose signatures this node believes."""

from __future__ import annotations

import asyncio

from litestar import get, post
from litestar.params import JSONBody

from agent.http.caller import TheCaller, TheNode
from agent.protocol.signatures import RevokeRequest, TrustedKey, TrustRequest


@get("/v1/keys", tags=["keys"])
async def list_keys(node: TheNode) -> list[TrustedKey]:
    """The trusted keys, and those that were revoked."""
    return await asyncio.to_thread(node.keys.all_keys)


@post("/v1/keys/trust", tags=["keys"], status_code=200, role="admin")
async def trust_key(node: TheNode, caller: TheCaller, data: JSONBody[TrustRequest]) -> TrustedKey:
    """Believe a key from now on; a key that is trusted stays so."""
    caller.doing("key.trust", "key")
    key = await asyncio.to_thread(node.keys.trust, data.key)
    caller.doing("key.trust", f"key/{key.fingerprint}", name=key.name or None)
    return key


@post("/v1/keys/revoke", tags=["keys"], status_code=200, role="admin")
async def revoke_key(node: TheNode, caller: TheCaller, data: JSONBody[RevokeRequest]) -> TrustedKey:
    """Never believe a key again."""
    caller.doing("key.revoke", "key")
    key = await asyncio.to_thread(node.keys.revoke, data.key)
    caller.doing("key.revoke", f"key/{key.fingerprint}", name=key.name or None)
    return key
