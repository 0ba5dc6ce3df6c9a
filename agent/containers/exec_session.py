"""A command inside a container, with its streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from anyio import CancelScope, fail_after, move_on_after
from docker import APIClient

from agent.containers.api_stream import ApiStream, StreamBrokenError, StreamRefusedError
from agent.containers.command_process import CommandProcess, end_process, find_process
from agent.containers.connection import Connection, Json
from agent.containers.container_problems import not_run, not_running
from agent.containers.frames import FramingError, Part, StreamDecoder
from agent.containers.inspection import Inspected
from agent.containers.refusals import problem_of, understood
from agent.protocol.containers import Container, ExecExit, ExecOutput, ExecRequest
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

# How long the runtime may take to begin a command, and after its end to tell the exit code.
START_SECONDS = 15.0
EXIT_SECONDS = 3.0
_FIRST_LOOK_SECONDS = 0.01
_LONGEST_LOOK_SECONDS = 0.2
# Exit codes by which runtimes say that a command could not even begin.
_NOT_BEGUN = (125, 126, 127)
_REASON_LIMIT_BYTES = 4096


class DockerExec:
    """See `runtime.ExecSession`; `close` says what becomes of the command."""

    def __init__(
        self,
        connection: Connection,
        streams: contextlib.AsyncExitStack,
        stream: ApiStream,
        exec_id: str,
        container: Container,
        request: ExecRequest,
    ) -> None:
        self.id = exec_id
        self._connection, self._streams, self._stream = connection, streams, stream
        self._container, self._request = container, request
        self._process: CommandProcess | None = None
        self._over = False  # its exit code was told
        self._decoder = None if request.tty else StreamDecoder()
        self._early: list[ExecOutput] = []  # what came while it was still unclear whether it runs
        self._input_open = request.stdin

    async def output(self) -> AsyncIterator[ExecOutput | ExecExit]:
        """What it writes, as it comes, then how it ended. The runtime waits for a slow reader."""
        early, self._early = self._early, []
        for part in early:
            yield part
        reason: str | None = None
        try:
            while parts := await self._read():
                for part in parts:
                    yield part
        except (StreamBrokenError, FramingError) as error:
            reason = f"the connection to the runtime was cut: {error}"
        self._input_open = False
        yield await self._exit(reason)

    async def write(self, data: bytes) -> None:
        """Feed its standard input; waits while the command does not read.

        Raises:
            ProblemError: `exec.not_found`, it has no input (any more).
        """
        if not self._input_open:
            raise _no_input(self.id, asked=self._request.stdin)
        try:
            await self._stream.write(data)
        except StreamBrokenError as error:
            self._input_open = False
            raise _no_input(self.id, asked=True) from error

    async def close_input(self) -> None:
        """End its standard input. In a terminal that is Ctrl-D, which a person types."""
        if self._input_open:
            self._input_open = False
            self._stream.close_input()

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal's new size; nothing where there is no terminal.

        Raises:
            ProblemError: `runtime.*`.
        """
        if self._request.tty:
            await self._connection.call(
                lambda client: client.exec_resize(self.id, height=rows, width=columns)
            )

    async def close(self) -> None:
        """Cut the connection, and end the command if it still runs.

        What still runs is hung up on, then killed, where its process is seen on this machine and
        the agent may signal it: see `command_process`. Where not (the agent is in a container or
        not root, or the socket leads to another machine), or where it ignores hang-ups, it may
        run on and the agent's log says so; one that reads a plain input still finds its end.
        """
        self._input_open = False
        with CancelScope(shield=True):
            await self._streams.aclose()
            if not self._over:
                await self._end()

    async def begun(self) -> None:
        """Wait until the command runs, or ran.

        Raises:
            ProblemError: `exec.command` where it could not be run, `runtime.*`.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        pause = _FIRST_LOOK_SECONDS
        while True:
            state = await self._inspect()
            if state.get("Running") and state.get("Pid"):
                break
            if (code := _ended_with(state, podman=self._connection.podman)) is not None:
                if code in _NOT_BEGUN:
                    await self._raise_if_not_begun(state, code)
                return
            if asyncio.get_running_loop().time() > deadline:
                raise ProblemError(
                    "runtime.refused",
                    f"the runtime did not start the command in {START_SECONDS:g} s",
                    params={"command": self._request.command},
                    hint="Look at the container: its processes may be stuck.",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        if self._request.tty:
            # It may be over already, and then its size is of no interest.
            with contextlib.suppress(ProblemError):
                await self.resize(self._request.columns, self._request.rows)

    async def _end(self) -> None:
        try:
            if self._process is None and not (await self._inspect()).get("Running"):
                return
            process = self._process
            why = "its process cannot be seen from here"
            if process is not None:
                found = await self._connection.call(lambda _: end_process(process))
                if found is None:
                    return
                why = found
        except ProblemError as problem:
            why = problem.detail
        name = self._container.name
        log.warning("%r may run on in container %r: %s", self._request.command[0], name, why)

    async def _raise_if_not_begun(self, state: Json, code: int) -> None:
        """A runtime writes why it could not begin where the command's output would be."""
        size = 0
        with contextlib.suppress(StreamBrokenError, FramingError), move_on_after(EXIT_SECONDS):
            while size < _REASON_LIMIT_BYTES:
                parts = await self._read()
                if not parts:
                    break
                self._early += parts
                size += sum(len(part.data) for part in parts)
        text = b"".join(part.data for part in self._early).decode(errors="replace")
        if self._connection.podman:
            # Podman tells no pid of a command that is over. Its own messages look like this.
            never_ran = text.startswith("Error: ") and ("OCI" in text or "exec failed" in text)
        else:
            never_ran = not state.get("Pid")
        if never_ran:
            raise not_run(self._request.command, text, code)

    async def _read(self) -> list[ExecOutput]:
        pieces = await self._stream.read()
        if self._decoder is None:
            return [ExecOutput(stream="stdout", data=piece.data) for piece in pieces]
        while pieces:
            found = self._decoder.feed(b"".join(piece.data for piece in pieces))
            if found:
                return _joined(found)
            pieces = await self._stream.read()  # only a part of a header came
        return []

    async def _exit(self, reason: str | None) -> ExecExit:
        pause, waited = _FIRST_LOOK_SECONDS, 0.0
        while True:
            try:
                state = await self._inspect()
            except ProblemError as problem:
                return ExecExit(code=None, reason=reason or problem.detail)
            code = _ended_with(state, podman=self._connection.podman)
            if code is not None:
                return ExecExit(code=code, reason=reason)
            if waited > EXIT_SECONDS:
                return ExecExit(code=None, reason=reason or "the command left its streams and runs")
            await asyncio.sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)

    async def _inspect(self) -> Json:
        def ask(client: APIClient) -> Json:
            state: Json = client.exec_inspect(self.id)
            if self._process is None and state.get("Running") and (pid := state.get("Pid")):
                self._process = find_process(pid, self._container.id)
            return state

        state = await self._connection.call(ask)
        self._over = _ended_with(state, podman=self._connection.podman) is not None
        return state


async def start(connection: Connection, one: Inspected, request: ExecRequest) -> DockerExec:
    """Run the command; comes back when it runs, or ran.

    Raises:
        ProblemError: `container.not_running`, `exec.command`, `container.*`, `runtime.*`.
    """
    container = one.container
    if not request.command or not request.command[0]:
        raise not_run(request.command, "no command was given", None)
    if container.state != "running":
        raise not_running(container.name, container.state)
    try:
        created = await connection.call(
            lambda client: client.exec_create(
                container.id,
                request.command,
                stdin=request.stdin,
                tty=request.tty,
                user=request.user or "",
                environment=dict(request.environment) or None,
                workdir=request.working_dir,
            ),
            container=container.name,
        )
    except ProblemError as problem:
        if problem.code == "container.conflict" or "state improper" in problem.detail:
            raise not_running(container.name, "not running") from problem
        raise
    exec_id = understood(lambda: str(created["Id"]), connection.address)
    async with contextlib.AsyncExitStack() as streams:
        stream = await streams.enter_async_context(
            connection.stream(
                "POST",
                f"/exec/{exec_id}/start",
                body={"Detach": False, "Tty": request.tty},
                upgrade=True,
            )
        )
        session = DockerExec(connection, streams.pop_all(), stream, exec_id, container, request)
    try:
        with fail_after(START_SECONDS):
            await stream.answered()
        await session.begun()
    except StreamRefusedError as error:
        await session.close()
        # Podman refuses a user that the container does not have, with no better status than 500.
        raise not_run(request.command, error.message, None) from error
    except (StreamBrokenError, TimeoutError) as error:
        await session.close()
        raise problem_of(error, connection.address, container=container.name) from error
    except BaseException:
        await session.close()
        raise
    return session


def _ended_with(state: Json, *, podman: bool) -> int | None:
    """The exit code of a command that is over. Podman says 0 also of one that has not begun."""
    if state.get("Running") or (podman and not state.get("CanRemove")):
        return None
    code = state.get("ExitCode")
    return code if isinstance(code, int) else None


def _joined(parts: list[Part]) -> list[ExecOutput]:
    """Neighbours of the same stream as one, in the order in which they came."""
    joined: list[ExecOutput] = []
    for part in parts:
        if joined and joined[-1].stream == part.stream:
            joined[-1].data += part.data
        else:
            joined.append(ExecOutput(stream=part.stream, data=part.data))
    return joined


def _no_input(exec_id: str, *, asked: bool) -> ProblemError:
    return ProblemError(
        "exec.not_found",
        "the command's input is closed" if asked else "the command was started without input",
        params={"exec": exec_id},
        hint=None if asked else "Ask for input when it is started.",
    )
