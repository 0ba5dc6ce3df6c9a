"""Who calls, on which listener, for which node: put into the ASGI scope before routing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import msgspec
from anyio import move_on_after
from litestar.di import NamedDependency
from litestar.enums import ScopeType

from agent.http.token_watch import TokenWatch
from agent.node import Node
from agent.protocol.access import OWNER_HEADER, AuditRecord, Role, may
from agent.protocol.problems import MEDIA_TYPE, ProblemError
from agent.protocol.version import API_VERSION, API_VERSION_HEADER

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler
    from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

SCOPE_KEY = "roost.caller"
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWNER_LIMIT = 64
# How long a reader may take for the end of its stream when the agent stops.
FAREWELL_SECONDS = 0.2
SETTLE_SECONDS = 2.0

log = logging.getLogger(__name__)


class Listener(msgspec.Struct, frozen=True):
    """One address that the agent listens on. `role` None: a bearer token tells it."""

    node: Node
    name: str  # for the audit log: "unix:agent.sock", "https"
    role: Role | None


class Caller:
    """The caller of one request, and what the audit log will say of it."""

    def __init__(self, node: Node, *, origin: str, method: str, path: str) -> None:
        self.node = node
        self.origin = origin
        self.mutating = method not in READ_METHODS
        self.role: Role | None = None
        self.owner = "unknown"
        self.proof: Literal["token", "stated"] = "stated"
        self.refusal: ProblemError | None = None
        self.check_token: Callable[[], object] | None = None  # asks again whether it is good
        self.action = f"{method} {path}"[:200]  # until the handler says it better
        self.subject = ""
        self.params: dict[str, str] = {}
        self.outcome = ""  # a problem's code, set where the problem is rendered
        self._at = time.time()
        self._number: int | None = None  # of the record that says "begun"

    def doing(self, action: str, subject: str, **params: object) -> None:
        """Name what this call does, for the audit log."""
        self.action, self.subject = action, subject
        self.params = {name: str(value) for name, value in params.items() if value is not None}

    async def begin(self) -> None:
        """Have the audit log say that a mutating call begins, before anything is done.

        Raises:
            ProblemError: `store.failed`; then nothing may be done.
        """
        self._number = await self.node.audit.aside(self.node.audit.append, self._record("begun"))

    @property
    def begun(self) -> bool:
        """Whether the audit log knows of this call and waits for its outcome."""
        return self._number is not None

    def finish(self, outcome: str) -> None:
        """Have the audit log say what became of the call. Blocks until it is on disk.

        What was done stays done where this cannot be written, so that is only logged; the
        record then says "begun".
        """
        number, self._number = self._number, None
        try:
            if number is None:
                self.node.audit.append(self._record(outcome))
            else:
                self.node.audit.finish(number, self._record(outcome))
        except ProblemError as problem:
            log.warning("%s: %s is not in the audit log: %s", self.action, outcome, problem.detail)

    def _record(self, outcome: str) -> AuditRecord:
        return AuditRecord(
            at=self._at,
            owner=self.owner,
            proof=self.proof,
            role=self.role or "viewer",
            origin=self.origin,
            action=self.action,
            subject=self.subject,
            outcome=outcome,
            params=self.params,
        )

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

    It also answers every mutating call only after the audit log has its outcome on disk, stamps
    the API version on every answer, and ends the streams when the agent stops.
    """

    def __init__(self, app: ASGIApp, listeners: Mapping[str, Listener]) -> None:
        """`listeners` by local address: a socket's path, or "host:port"."""
        self._app = app
        self._listeners = listeners
        self._stopping = False
        self._calls: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()  # those whose answer has begun

    def end_streams(self) -> None:
        """End every answer that has begun, or begins yet: streams have no end of their own."""
        self._stopping = True
        for task in self._answering:
            task.cancel()

    async def wait_ended(self) -> None:
        """Wait for calls that were cancelled: they have an outcome to write down."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=SETTLE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        caller = await _identify(self._listener(scope), scope)
        scope[SCOPE_KEY] = caller  # type: ignore[literal-required]
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._calls.add(task)
        ended = False
        watch: TokenWatch | None = None

        async def stamped(message: Message) -> None:
            nonlocal ended, watch
            if message["type"] == "http.response.start":
                status = message["status"]
                if caller.begun or (caller.mutating and status >= 400):
                    outcome = "done" if status < 400 else f"http.{status}"
                    await caller.node.audit.aside(caller.finish, caller.outcome or outcome)
                message["headers"] = [
                    *message["headers"],
                    (API_VERSION_HEADER.lower().encode(), API_VERSION.encode()),
                ]
                self._answering.add(task)
                if self._stopping:
                    task.get_loop().call_later(FAREWELL_SECONDS, task.cancel)
            await send(message)
            if message["type"] == "http.response.body":
                ended = not message.get("more_body")
                if not ended and watch is None and caller.check_token is not None:
                    watch = TokenWatch(caller.check_token, task.cancel)

        try:
            await self._app(scope, receive, stamped)
        except asyncio.CancelledError:
            # A server that stops cancels a stream at once, other work after its grace; a stream
            # is cancelled with its token, too.
            if caller.begun:
                await caller.node.audit.aside(caller.finish, "interrupted")
            if not ended:
                await _bid_farewell(send, begun=task in self._answering)
        finally:
            if watch is not None:
                watch.stop()
            self._calls.discard(task)
            self._answering.discard(task)

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

    A mutating call begins in the audit log here, before its body is read; a route with
    `continues=True` belongs to a call that is in there already: a key stroke, a layer's bytes.
    While the agent is on trial only routes with `on_trial=True` change anything.
    Asynchronous because Litestar runs a plain function in a thread, for every request.
    """
    needed = handler.opt.get("role", "viewer")
    caller = caller_of(connection.scope)
    if needed is not None:
        caller.require(needed)
    if handler.opt.get("continues"):
        caller.mutating = False
    elif caller.mutating:
        if not handler.opt.get("on_trial"):
            caller.node.upgrades.check_settled()
        await caller.begin()


async def _identify(listener: Listener, scope: HTTPScope) -> Caller:
    """Who calls: by the listener's own role, or by the token."""
    caller = Caller(
        listener.node,
        origin=_origin(listener, scope),
        method=scope["method"],
        path=scope["path"],
    )
    headers = dict(scope["headers"])
    if listener.role is None:
        await _by_token(caller, headers.get(b"authorization", b"").decode("latin-1"))
    else:
        caller.role = listener.role
        stated = headers.get(OWNER_HEADER.lower().encode(), b"")
        caller.owner = stated.decode("utf-8", "replace")[:OWNER_LIMIT] or "unknown"
    return caller


async def _by_token(caller: Caller, authorization: str) -> None:
    caller.proof = "token"
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return
    check = partial(caller.node.tokens.check, secret.strip())
    try:
        token = await asyncio.to_thread(check)
    except ProblemError as problem:
        caller.refusal = problem
    else:
        caller.role, caller.owner, caller.check_token = token.role, token.name, check


async def _bid_farewell(send: Send, *, begun: bool) -> None:
    """End an answer properly for a reader that reads; the server cuts the others off."""
    body = b""
    if not begun:
        problem = ProblemError(
            "node.stopping",
            "the agent stopped before this was done",
            hint="Look what became of it, and try again when the agent is back.",
        ).problem()
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    with move_on_after(FAREWELL_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _origin(listener: Listener, scope: Scope) -> str:
    client = scope["client"]
    return f"{listener.name}:{client[0]}" if client and client[0] else listener.name
