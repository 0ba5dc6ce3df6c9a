"""Roles, tokens and the audit log."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")

# What the console states about who is at the keyboard, on listeners without tokens.
OWNER_HEADER = "Roost-Owner"


def may(role: Role, needed: Role) -> bool:
    """Whether `role` includes what `needed` may do."""
    return ROLES.index(role) >= ROLES.index(needed)


class Token(msgspec.Struct, kw_only=True):
    """A token as it is listed; the secret itself is shown once, when it is made."""

    name: str
    role: Role
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None


class AuditRecord(msgspec.Struct, kw_only=True):
    """One mutating call."""

    at: float
    owner: str  # a token's name, or what the console stated
    proof: Literal["token", "stated"]
    role: Role
    origin: str  # "unix:agent.sock", "https:10.0.0.7"
    action: str  # "container.stop"
    subject: str  # "container/<id>"
    # "done", a problem's code, "begun" while it goes on, or "interrupted": the agent ended first.
    outcome: str
    params: dict[str, str] = {}


class Health(msgspec.Struct, kw_only=True):
    """`/healthz` and `/readyz`."""

    status: Literal["ok", "starting"]
    version: str
    api_version: str
