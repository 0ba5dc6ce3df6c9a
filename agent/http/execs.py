"""Exec: one stream of output, and input and size by requests of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream

from agent.containers.runtime import ExecSession
from agent.http import sse
from agent.http.caller import TheCaller, TheNode
from agent.http.containers import Name
from agent.node import Node
from agent.protocol.containers import ExecExit, ExecRequest, ExecStarted, TerminalSize
from agent.protocol.problems import ProblemError

SESSIONS_PER_NODE = 32
# A paste arrives as one request; more than this is not typed by hand.
INPUT_LIMIT_BYTES = 8 * 1024 * 1024


class ExecSessions:
    """The exec sessions under way, by id."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], ExecSession] = {}

    def add(self, node: Node, session: ExecSession) -> None:
        """Raises ProblemError `exec.too_many`."""
        if sum(owner == node.boot for owner, _ in self._sessions) >= SESSIONS_PER_NODE:
            raise ProblemError(
                "exec.too_many",
                f"{SESSIONS_PER_NODE} exec sessions are open on this node",
                hint="Close one, then try again.",
            )
        self._sessions[node.boot, session.id] = session

    def find(self, node: Node, session_id: str) -> ExecSession:
        """Raises ProblemError `exec.not_found`."""
        session = self._sessions.get((node.boot, session_id))
        if session is None:
            raise ProblemError(
                "exec.not_found",
                f"no exec session {session_id!r} is open",
                hint="It has ended; start a new one.",
            )
        return session

    def drop(self, node: Node, session: ExecSession) -> None:
        self._sessions.pop((node.boot, session.id), None)


TheExecs = NamedDependency[ExecSessions]


@post(
    "/v1/containers/{name:str}/exec",
    tags=["containers"],
    status_code=200,
    media_type="text/event-stream",
    role="operator",
)
async def start_exec(
    node: TheNode, caller: TheCaller, execs: TheExecs, name: Name, data: JSONBody[ExecRequest]
) -> Stream:
    """Run a command: `event: started`, `output` as it comes, and at last `exit`."""
    caller.doing("container.exec", f"container/{name}", command=" ".join(data.command)[:500])
    session = await node.runtime.exec(name, data)
    try:
        execs.add(node, session)
    except ProblemError:
        await session.close()
        raise

    async def output() -> AsyncGenerator[bytes, None]:
        try:
            yield sse.event("started", ExecStarted(id=session.id))
            async for piece in session.output():
                yield sse.event("exit" if isinstance(piece, ExecExit) else "output", piece)
        finally:
            execs.drop(node, session)
            await session.close()

    # Begun before it is handed on: a caller who is gone by then ends the session, too.
    rest = output()
    return sse.event_stream(_chained(await anext(rest), rest))


@post(
    "/v1/execs/{session_id:str}/input",
    tags=["containers"],
    status_code=204,
    role="operator",
    continues=True,
)
async def write_input(
    request: Request[Any, Any, Any],
    node: TheNode,
    execs: TheExecs,
    session_id: FromPath[str],
    *,
    close: FromQuery[bool] = False,
) -> None:
    """Feed the command's standard input with the body's bytes; `close` ends it after them."""
    session = execs.find(node, session_id)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > INPUT_LIMIT_BYTES:
            raise ProblemError(
                "request.too_large",
                f"input comes in pieces of at most {INPUT_LIMIT_BYTES} bytes",
                hint="Send it in several requests.",
            )
        if chunk:
            await session.write(chunk)
    if close:
        await session.close_input()


@post(
    "/v1/execs/{session_id:str}/size",
    tags=["containers"],
    status_code=204,
    role="operator",
    continues=True,
)
async def resize_terminal(
    node: TheNode,
    execs: TheExecs,
    session_id: FromPath[str],
    data: JSONBody[TerminalSize],
) -> None:
    """Tell the command its terminal's new size."""
    await execs.find(node, session_id).resize(data.columns, data.rows)


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()
