"""What the client needs of a way to a node."""

from __future__ import annotations

from typing import Literal, Protocol

from agent.protocol.problems import ProblemError
from console.link.connection import Connection, CutError

LinkKind = Literal["unix", "ssh", "https"]


class Link(Protocol):
    """A way to one node. Connections are opened one by one; a link may keep a tunnel for them."""

    kind: LinkKind

    async def connect(self) -> Connection:
        """Open a connection, within a time of the link's own.

        Raises:
            ProblemError: `link.*` or `ssh.*`.
        """

    async def explain(self, cut: CutError) -> ProblemError | None:
        """Why a new connection was cut before it answered.

        None: the link has found another way, and it is worth to try once more.
        """

    async def close(self) -> None:
        """Give back what the link holds."""
