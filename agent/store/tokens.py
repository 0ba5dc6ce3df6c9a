"""Bearer tokens: only their hash is kept."""

from __future__ import annotations

import hashlib
import logging
import secrets
import sqlite3
import time

from agent.protocol.access import Role, Token
from agent.protocol.problems import ProblemError
from agent.store.database import Database

# 256 bits from the system's source: a plain SHA-256 is enough, there is nothing to guess.
TOKEN_BYTES = 32
PREFIX = "roost_"
# `last_used_at` is written at most this often, so that reading stays cheap.
LAST_USED_STEP_SECONDS = 60.0

log = logging.getLogger(__name__)


class TokenStore:
    """Tokens of one node. A command that makes one while the agent runs takes effect at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, name: str, role: Role, *, lifetime_seconds: float | None = None) -> str:
        """A new token's secret, which cannot be read again.

        Raises:
            ProblemError: `token.exists`.
        """
        secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        now = time.time()
        expires = None if lifetime_seconds is None else now + lifetime_seconds
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO tokens (name, digest, role, created_at, expires_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (name, _digest(secret), role, now, expires),
                )
        except sqlite3.IntegrityError:
            raise ProblemError(
                "token.exists",
                f"a token named {name!r} exists already",
                params={"name": name},
                hint=f"Revoke it first: roost-agent token revoke {name}",
            ) from None
        return secret

    def revoke(self, name: str) -> None:
        """Raises ProblemError `token.not_found`."""
        with self._database.transaction() as connection:
            if connection.execute("DELETE FROM tokens WHERE name = ?", [name]).rowcount == 0:
                raise ProblemError(
                    "token.not_found",
                    f"no token is named {name!r}",
                    params={"name": name},
                    hint="roost-agent token ls shows them.",
                )

    def list(self) -> list[Token]:
        """All tokens by name, expired ones too."""
        rows = self._database.rows("SELECT * FROM tokens ORDER BY name")
        return [
            Token(
                name=row["name"],
                role=row["role"],
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                last_used_at=row["last_used_at"],
            )
            for row in rows
        ]

    def check(self, secret: str) -> Token:
        """The token that `secret` is.

        Raises:
            ProblemError: `auth.token_unknown`, `auth.token_expired`.
        """
        rows = self._database.rows("SELECT * FROM tokens WHERE digest = ?", [_digest(secret)])
        if not rows:
            raise ProblemError(
                "auth.token_unknown",
                "the token is not one of this node's",
                hint="Make one on the node: sudo roost-agent token make NAME --role operator",
            )
        row = rows[0]
        now = time.time()
        if row["expires_at"] is not None and row["expires_at"] <= now:
            raise ProblemError(
                "auth.token_expired",
                f"the token {row['name']!r} has expired",
                params={"name": row["name"], "expired_at": row["expires_at"]},
                hint="Make a new one on the node: sudo roost-agent token make NAME --role "
                + row["role"],
            )
        # Both ways: a clock that was ahead once may have been set right.
        if abs(now - (row["last_used_at"] or 0)) > LAST_USED_STEP_SECONDS:
            self._note_use(row["name"], now)
        return Token(
            name=row["name"],
            role=row["role"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            last_used_at=now,
        )

    def _note_use(self, name: str, now: float) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute("UPDATE tokens SET last_used_at = ? WHERE name = ?", (now, name))
        except ProblemError as problem:
            # A full disk must not lock out those who come to mend it.
            log.warning("the use of token %s was not noted: %s", name, problem.detail)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
