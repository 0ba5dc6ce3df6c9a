"""Who may call what, asked before a handler runs."""

from __future__ import annotations

from typing import Any

from litestar import Request

from agent.http.caller import guard_role


async def admit(request: Request[Any, Any, Any]) -> None:
    """`guard_role` for every route.

    Litestar's own guards copy the whole route handler at each request, a third of the time that
    a small answer takes.
    """
    await guard_role(request, request.route_handler)
