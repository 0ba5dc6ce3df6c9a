"""From a bare host to a node that answers: one host, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits.hosts import Checked, HostLook, KitHost
from console.kits.reading import Kit
from console.link.address import parse_address

ANSWER_SECONDS = 60.0
ASK_AGAIN_SECONDS = 1.0


class Planned(NamedTuple):
    """What would happen on a host, and all that is needed to do it."""

    entry: NodeEntry
    kit: Kit
    look: HostLook
    checked: Checked

    @property
    def refusal(self) -> ProblemError | None:
        """Why it cannot be done; None: it can."""
        return self.checked.problems[0].problem() if self.checked.problems else None


async def plan_install(entry: NodeEntry, links: Links, kits: Mapping[str, Kit]) -> Planned:
    """Look at the host; nothing changes.

    Raises:
        ProblemError: `ssh.*`, `link.*`, `kit.*`, `fleet.address`, `console.usage`.
    """
    host = _host(entry, links)
    look = await host.look()
    kit = kits.get(look.arch)
    if kit is None:
        raise ProblemError(
            "kit.none",
            f"the host is {look.arch}, and the kits are for {', '.join(sorted(kits))}",
            params={"arch": look.arch},
            hint=f"Make one: roost agent kit make --arch {look.arch}",
        )
    return Planned(entry, kit, look, await host.check(kit, look))


async def install(
    planned: Planned,
    links: Links,
    *,
    copied: Callable[[int], None],
    hear: Callable[[str], None],
) -> NodeFacts | None:
    """Do it, and talk to the agent through the real link.

    Returns:
        What the node says of itself; None: there is no systemd, so somebody has to start it.

    Raises:
        ProblemError: `ssh.*`, `link.*`, `kit.*`. Run again it goes on.
    """
    if (refusal := planned.refusal) is not None:
        raise refusal
    host = _host(planned.entry, links)
    place = await host.copy(planned.kit, copied=copied)
    await host.install(place, planned.look, hear=hear)
    if not planned.checked.facts.get("systemd"):
        return None
    return await _answer(planned.entry, links, typed=host.host.typed)


def _host(entry: NodeEntry, links: Links) -> KitHost:
    """Of these links: what they share belongs to one event loop."""
    address = parse_address(entry.address)
    if address.kind != "ssh":
        raise ProblemError(
            "console.usage",
            f"{entry.address} is no ssh:// address",
            hint="An agent is installed over ssh: ssh://user@host",
        )
    return KitHost(links.host(entry.name, address))


async def _answer(entry: NodeEntry, links: Links, *, typed: str) -> NodeFacts:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ANSWER_SECONDS
    while True:
        client = links.client(entry)
        try:
            return await client.node()
        except ProblemError as problem:
            if loop.time() > deadline:
                raise ProblemError(
                    "kit.silent",
                    f"{entry.address}: {problem.detail}",
                    hint=f"See why: {typed} journalctl -u roost-agent",
                ) from None
        finally:
            await client.close()
        await asyncio.sleep(ASK_AGAIN_SECONDS)
