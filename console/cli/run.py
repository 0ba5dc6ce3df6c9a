"""Asks nodes, each by a coroutine of its own: one that fails or hangs keeps no other one up."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from agent.protocol.problems import ProblemError
from console.cli.failures import FAILED, UNREACHABLE, not_reached, tell
from console.cli.nodes import fleet_file, one_node, selected_nodes
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links, stated_owner

if TYPE_CHECKING:
    from console.link.client import NodeClient

T = TypeVar("T")

# Files and handshakes are bounded too; this bounds what answers take in memory.
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of asking one node: `value`, unless there is a `problem`."""

    entry: NodeEntry
    value: T | None = None
    problem: ProblemError | None = None


def links(setup: Setup) -> Links:
    """The ways to the nodes of this fleet."""
    return Links(
        os.environ,
        owner=stated_owner(),
        timeout=setup.timeout,
        token_folder=fleet_file(setup).parent,
    )


def ask_each(
    setup: Setup, selector: str | None, ask: Callable[[NodeEntry, NodeClient], Awaitable[T]]
) -> list[Answer[T]]:
    """Ask every selected node; the answers come in the fleet's order.

    Raises:
        ProblemError: `settings.*`, `fleet.*`; a node's own problem is in its answer.
    """
    return ask_nodes(setup, selected_nodes(setup, selector), ask)


def ask_nodes(
    setup: Setup,
    entries: Sequence[NodeEntry],
    ask: Callable[[NodeEntry, NodeClient], Awaitable[T]],
    *,
    admin: bool = False,
) -> list[Answer[T]]:
    """Ask these nodes, as an admin where that is needed; a node's own problem is in its answer."""
    return asyncio.run(_ask_all(setup, entries, ask, admin=admin))


def ask_one(
    setup: Setup,
    name: str,
    ask: Callable[[NodeEntry, NodeClient], Awaitable[T]],
    *,
    admin: bool = False,
) -> T:
    """Ask the node `name`, as an admin where that is needed.

    Raises:
        ProblemError: also the node's own.
    """
    entry = one_node(setup, name)

    async def work() -> T:
        async with _client(links(setup), entry, admin=admin) as client:
            try:
                return await ask(entry, client)
            except ProblemError as problem:
                problem.params.setdefault("node", entry.name)
                _tell_token_file(setup, entry, problem)
                raise

    return asyncio.run(work())


def conclude(answers: Sequence[Answer[T]]) -> int:
    """Tell the problems; the exit code."""
    problems = [answer.problem for answer in answers if answer.problem is not None]
    for answer in answers:
        if answer.problem is not None:
            tell(answer.problem, node=answer.entry.name)
    if not problems:
        return 0
    nobody = len(problems) == len(answers) and all(map(not_reached, problems))
    return UNREACHABLE if nobody else FAILED


async def _ask_all(
    setup: Setup,
    entries: Sequence[NodeEntry],
    ask: Callable[[NodeEntry, NodeClient], Awaitable[T]],
    *,
    admin: bool,
) -> list[Answer[T]]:
    ways = links(setup)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(entry: NodeEntry) -> Answer[T]:
        async with gate:
            try:
                async with _client(ways, entry, admin=admin) as client:
                    return Answer(entry, await ask(entry, client))
            except ProblemError as problem:
                _tell_token_file(setup, entry, problem)
                return Answer(entry, problem=problem)

    return await asyncio.gather(*map(one, entries))


def _tell_token_file(setup: Setup, entry: NodeEntry, problem: ProblemError) -> None:
    """The agent says that another token is needed; where it belongs is known here."""
    if problem.code in {"auth.token_unknown", "auth.token_expired"} and entry.token_file:
        file = fleet_file(setup).parent / Path(entry.token_file).expanduser()
        problem.hint = f"{problem.hint or 'Make another one'}; it belongs into {file}"


@contextlib.asynccontextmanager
async def _client(
    ways: Links, entry: NodeEntry, *, admin: bool = False
) -> AsyncIterator[NodeClient]:
    client = ways.client(entry, admin=admin)
    try:
        yield client
    finally:
        await client.close()
