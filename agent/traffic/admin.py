"""Talking to a HAProxy that runs: its stats socket."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec
from anyio import fail_after

from agent.traffic.problems import no_answer

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 1024 * 1024
# Of srv_admin_state: forced into maintenance, or so by the configuration and not ready since.
_FORCED = 0x01
_UP = 2
_CHECK_PASSED = 3


class Server(msgspec.Struct, kw_only=True, frozen=True):
    """One server of one backend, as the running HAProxy has it."""

    address: str
    port: int
    weight: int
    off: bool  # in maintenance: it gets nothing, and is not checked
    up: bool
    checked: bool  # its last check passed


class Counters(msgspec.Struct, kw_only=True, frozen=True):
    """What a server, or (under the name "BACKEND") all of a backend, has had since the start."""

    responses: int = 0
    connections: int = 0  # that it was given
    failed: int = 0  # tries to connect that came to nothing
    redispatched: int = 0  # requests that another server got, as no connection was made
    sessions: int = 0  # now


class Process(msgspec.Struct, kw_only=True, frozen=True):
    """Which HAProxy it is, and how many lines of its log it could not send."""

    pid: int
    started: int
    version: str


class Admin:
    """The stats socket of one workload's proxy.

    All methods raise ProblemError `traffic.no_answer`.
    """

    def __init__(self, workload: str, socket: Path) -> None:
        self._workload, self._socket = workload, socket

    async def tell(self, commands: Iterable[str]) -> None:
        """Tell it each of these. Whether it obeys shows in `servers`."""
        for command in commands:
            await self.ask(command)

    async def ask(self, command: str) -> str:
        """Its answer to one command."""
        try:
            with fail_after(ANSWER_SECONDS):
                return await self._ask(command)
        except TimeoutError:
            raise no_answer(self._workload, f"not within {ANSWER_SECONDS:g} s") from None
        except OSError as error:
            raise no_answer(self._workload, error.strerror or str(error)) from error

    async def _ask(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            writer.write(command.encode() + b"\n")
            await writer.drain()
            answer = b""
            while piece := await reader.read(65536):
                answer += piece
                if len(answer) > ANSWER_BYTES:
                    raise OSError("an answer without end")
            return answer.decode(errors="replace")
        finally:
            writer.transport.abort()

    async def servers(self) -> dict[tuple[str, str], Server]:
        """All servers, by backend and name."""
        lines = (await self.ask("show servers state")).splitlines()
        heads = next((line[1:].split() for line in lines if line.startswith("#")), None)
        if heads is None:
            raise no_answer(self._workload, "it does not tell its servers")
        found = {}
        for line in lines:
            row = dict(zip(heads, line.split(), strict=False))
            if line.startswith("#") or len(row) < len(heads):
                continue
            found[row["be_name"], row["srv_name"]] = Server(
                address=row["srv_addr"],
                port=int(row["srv_port"]),
                weight=int(row["srv_uweight"]),
                off=bool(int(row["srv_admin_state"]) & _FORCED),
                up=int(row["srv_op_state"]) == _UP,
                checked=int(row["srv_check_result"]) == _CHECK_PASSED,
            )
        return found

    async def counters(self) -> dict[tuple[str, str], Counters]:
        """By backend and server, "BACKEND" for all of it."""
        text = (await self.ask("show stat")).lstrip("# ")
        found = {}
        for row in csv.DictReader(io.StringIO(text)):
            answers = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
            found[row["pxname"], row["svname"]] = Counters(
                responses=sum(int(row.get(f"hrsp_{each}") or 0) for each in answers),
                connections=int(row.get("stot") or 0),
                failed=int(row.get("econ") or 0),
                redispatched=int(row.get("wredis") or 0),
                sessions=int(row.get("scur") or 0),
            )
        return found

    async def process(self) -> Process:
        """Which HAProxy it is."""
        said = dict(
            line.split(": ", 1)
            for line in (await self.ask("show info")).splitlines()
            if ": " in line
        )
        try:
            return Process(
                pid=int(said["Pid"]),
                started=int(said.get("Start_time_sec") or 0),
                version=said["Version"],
            )
        except (KeyError, ValueError) as error:
            raise no_answer(self._workload, f"it does not say which it is: {error}") from error
