"""Secrets of a node on the wire: their names. A value goes one way, in the body that sets it."""

from __future__ import annotations

import msgspec

from agent.protocol.workloads import SecretName

# Certificates with their chains and keys fit many times.
SECRET_LIMIT_BYTES = 512 * 1024


class NodeSecret(msgspec.Struct, kw_only=True):
    """`GET /v1/secrets`: a secret that the node has. Nothing tells its value, or its length."""

    name: SecretName
    set_at: float  # Unix seconds, by the node's clock
    used_by: list[str] = []  # workloads
