"""Having nodes read what is installed on them, with a line that says how far each is."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from agent.protocol.jobs import Job
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError
from console.cli.check_table import short
from console.cli.live_lines import NODES_SHOWN, LiveLines
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.images.running import Group, Seen
from console.link.client import NodeClient
from console.link.problems import garbage
from console.text import size

ASKED = 3  # nodes that are asked to read one image, where others could not


class Looking(LiveLines):
    """What each node reads, and how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self._what: dict[str, str] = {}  # by node
        self._far: dict[str, str] = {}
        self._shown_by = 0

    def heard(self, node: str, what: str, job: Job) -> None:
        """How far a node is with the one that it reads."""
        self._what[node] = f"looking into {what}"
        if job.total:
            self._far[node] = f": {size(job.done)} of about {size(job.total)}"

    def done(self, node: str) -> None:
        """It reads nothing now."""
        self._what.pop(node, None)
        self._far.pop(node, None)

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """As long as one of them is in here."""
        self._shown_by += 1
        if self._shown_by == 1:
            await self.__aenter__()
        try:
            yield
        finally:
            self._shown_by -= 1
            if not self._shown_by:
                await self.__aexit__(None, None, None)

    def lines(self, room: int) -> list[str]:
        return [f"{node}: {what}{self._far.get(node, '')}" for node, what in self._what.items()][
            :room
        ]

    def total(self) -> str:
        return "; ".join(self.lines(NODES_SHOWN))

    def news(self) -> list[tuple[str, str]]:
        return list(self._what.items())


async def packages_on(
    entry: NodeEntry, client: NodeClient, image: str, looking: Looking, *, what: str
) -> PackageList:
    """What is installed in an image there, or on the node itself (""), which is read anew.

    Raises:
        ProblemError: the node's own, the job's; `link.*`.
    """
    if image and (known := await client.packages.get(image)) is not None:
        return known
    job = await client.packages.read(image, secrets.token_hex(16))
    async with looking.shown():
        try:
            await see_through(
                client, job, random=jitter(), seen=lambda job: looking.heard(entry.name, what, job)
            )
        finally:
            looking.done(entry.name)
    found = await client.packages.get(image)
    if found is None:
        raise garbage(entry.name, "it has read the packages and does not have them")
    return found


def read_groups(
    setup: Setup, entries: Mapping[str, NodeEntry], groups: Sequence[Group]
) -> dict[str, PackageList]:
    """By the groups' digests. Each image is read on one of the nodes that have it.

    One that none of them could read has nothing but the reason.
    """
    found: dict[str, PackageList] = {}
    problems: dict[str, ProblemError] = {}
    for turn in range(ASKED):
        at: dict[str, list[Group]] = {}
        for group in groups:
            if group.digest not in found and turn < len(group.nodes):
                at.setdefault(group.nodes[turn], []).append(group)
        _read_on(setup, entries, at, found, problems)
    for group in groups:
        if group.digest not in found:
            why = problems[group.digest]
            found[group.digest] = PackageList(unknown=[f"it could not be read: {why.detail}"])
    return found


def _read_on(
    setup: Setup,
    entries: Mapping[str, NodeEntry],
    at: Mapping[str, Sequence[Group]],
    found: dict[str, PackageList],
    problems: dict[str, ProblemError],
) -> None:
    """Have each of these nodes read its images, one after the other."""
    looking = Looking()

    async def read(entry: NodeEntry, client: NodeClient) -> None:
        for group in at[entry.name]:
            try:
                found[group.digest] = await packages_on(
                    entry, client, group.image.id, looking, what=group.name
                )
            except ProblemError as problem:
                problems[group.digest] = problem

    for answer in ask_nodes(setup, [entries[name] for name in at], read):
        if answer.problem is not None:
            for group in at[answer.entry.name]:
                problems.setdefault(group.digest, answer.problem)


def read_nodes(setup: Setup, entries: Sequence[NodeEntry]) -> list[Answer[PackageList]]:
    """What is installed on the nodes themselves."""
    looking = Looking()

    async def read(entry: NodeEntry, client: NodeClient) -> PackageList:
        return await packages_on(entry, client, "", looking, what="the node itself")

    return ask_nodes(setup, entries, read)


def read_image(setup: Setup, entry: NodeEntry, image: str) -> tuple[Seen, PackageList]:
    """One image of one node.

    Raises:
        ProblemError: the node's own; `link.*`.
    """
    looking = Looking()

    async def read(entry: NodeEntry, client: NodeClient) -> tuple[Seen, PackageList]:
        found = await packages_on(entry, client, image, looking, what=image)
        return Seen(images=await client.images()), found

    (answer,) = ask_nodes(setup, [entry], read)
    if answer.value is None:
        raise answer.problem or garbage(entry.name, "it said nothing")
    return answer.value


def see(setup: Setup, entries: Sequence[NodeEntry]) -> list[Answer[Seen]]:
    """Which images nodes have, and which containers run."""

    async def ask(_: NodeEntry, client: NodeClient) -> Seen:
        return Seen(images=await client.images(), containers=await client.containers())

    return ask_nodes(setup, entries, ask)


def name_of(group: Group, groups: Sequence[Group]) -> str:
    """With its digest where others have the same name."""
    same = sum(each.name == group.name for each in groups)
    return group.name if same == 1 else f"{group.name} ({short(group.digest)})"
