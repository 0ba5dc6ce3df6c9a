"""Who calls, on which listener, for which node: put into the ASGI scope before routing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
from litestar.di import NamedDependency
from litestar.enums import ScopeType

from agent.node import Node
from agent.protocol.access import OWNER_HEADER, AuditRecord, Role, may
from agent.protocol.problems import ProblemError
from agent.protocol.version import API_VERSION, API_VERSION_HEADER

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

SCOPE_KEY = "roost.caller"
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWNER_LIMIT = 64


class Listener(msgspec.Struct, frozen=True):
    """One address that the agent listens on. `role` None: a bearer token tells it."""

    node: Node
    name: str  # for the audit log: "unix:agent.sock", "https"
    role: Role | None


class Caller:
    """The caller of one request, and what the audit log will say of it."""

    def __init__(self, node: Node, *, origin: str) -> None:
        self.node = node
        self.origin = origin
        self.role: Role | None = None
        self.owner = "unknown"
        self.proof: Literal["token", "stated"] = "stated"
        self.refusal: ProblemError | None = None
        self.action = ""  # set by the handler of a mutating call
        self.subject = ""
        self.params: dict[str, str] = {}
        self.audited = True
        self.outcome = ""  # a problem's code, set where the problem is rendered

    def doing(self, action: str, subject: str, **params: object) -> None:
        """Name what this call does, for the audit log."""
        self.action, self.subject = action, subject
        self.params = {name: str(value) for name, value in params.items() if value is not None}

    def continuing(self) -> None:
        """This call belongs to one that is in the audit log already: a key stroke of an exec."""
        self.audited = False

    def require(self, needed: Role) -> Role:
        """Raise unless the caller may do what `needed` may."""
        if self.refusal is not None:
            raise self.refusal
        if self.role is None:
            raise ProblemError(
                "auth.missing",
                "this listener wants a bearer token",
                hint="Make one on the node: sudo roost-agent token make NAME --role operator",
            )
        if not may(self.role, needed):
            raise ProblemError(
                "auth.role",
                f"this needs role {needed}, you are {self.role}",
                params={"role": self.role, "needed": needed},
                hint=(
                    "Use the operator socket or an operator's token."
                    if needed == "operator"
                    else "Use ssh HOST sudo roost-agent dial-stdio --admin, or an admin token."
                ),
            )
        return self.role


class Callers:
    """ASGI wrapper: finds the listener by the local address, the caller by socket or token.

    It also answers every mutating call only after the audit log has it on disk, and stamps the
    API version on every answer.
    """

    def __init__(self, app: ASGIApp, listeners: Mapping[str, Listener]) -> None:
        """`listeners` by local address: a socket's path, or "host:port"."""
        self._app = app
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        listener = self._listener(scope)
        caller = Caller(listener.node, origin=_origin(listener, scope))
        headers = dict(scope["headers"])
        if listener.role is None:
            await _by_token(caller, headers.get(b"authorization", b"").decode("latin-1"))
        else:
            caller.role = listener.role
            stated = headers.get(OWNER_HEADER.lower().encode(), b"")
            caller.owner = stated.decode("utf-8", "replace")[:OWNER_LIMIT] or "unknown"
        scope[SCOPE_KEY] = caller  # type: ignore[literal-required]
        method = scope["method"]

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                if method not in READ_METHODS and (caller.audited or caller.outcome):
                    await _record(caller, f"{method} {scope['path']}", message["status"])
                message["headers"] = [
                    *message["headers"],
                    (API_VERSION_HEADER.lower().encode(), API_VERSION.encode()),
                ]
            await send(message)

        await self._app(scope, receive, stamped)

    def _listener(self, scope: Scope) -> Listener:
        host, port = scope["server"] or ("", None)
        return self._listeners[host if port is None else f"{host}:{port}"]


def caller_of(scope: Scope) -> Caller:
    """The caller that `Callers` found."""
    caller: Caller = scope[SCOPE_KEY]  # type: ignore[literal-required]
    return caller


TheCaller = NamedDependency[Caller]
TheNode = NamedDependency[Node]


def provide_caller(scope: Scope) -> Caller:
    """Litestar dependency `caller`."""
    return caller_of(scope)


def provide_node(scope: Scope) -> Node:
    """Litestar dependency `node`."""
    return caller_of(scope).node


async def guard_role(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Every route wants a viewer unless it says `role=`; `role=None` is open to all.

    Asynchronous because Litestar runs a plain function in a thread, for every request.
    """
    needed = handler.opt.get("role", "viewer")
    if needed is not None:
        caller_of(connection.scope).require(needed)


async def _by_token(caller: Caller, authorization: str) -> None:
    caller.proof = "token"
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return
    try:
        token = await asyncio.to_thread(caller.node.tokens.check, secret.strip())
    except ProblemError as problem:
        caller.refusal = problem
    else:
        caller.role, caller.owner = token.role, token.name


async def _record(caller: Caller, call: str, status: int) -> None:
    record = AuditRecord(
        at=time.time(),
        owner=caller.owner,
        proof=caller.proof,
        role=caller.role or "viewer",
        origin=caller.origin,
        action=caller.action or call[:200],
        subject=caller.subject,
        outcome=caller.outcome or ("done" if status < 400 else f"http.{status}"),
        params=caller.params,
    )
    await asyncio.to_thread(caller.node.audit.append, record)


def _origin(listener: Listener, scope: Scope) -> str:
    client = scope["client"]
    return f"{listener.name}:{client[0]}" if client and client[0] else listener.name
