"""From a bare host to a node that answers: one host, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits import contained
from console.kits.agent_image import AgentImage
from console.kits.hosts import Checked, HostLook, KitHost, no_python
from console.kits.reading import Kit
from console.link.address import parse_address

ANSWER_SECONDS = 60.0
ASK_AGAIN_SECONDS = 1.0
# For these a kit is of no use there, whatever anybody does to the kit.
_UNSUITED = ("kit.python", "kit.libc")


class Ware(NamedTuple):
    """What there is to install, by architecture."""

    kits: Mapping[str, Kit]
    images: Mapping[str, AgentImage]


class Planned(NamedTuple):
    """What would happen on a host, and all that is needed to do it."""

    entry: NodeEntry
    parcel: Kit | AgentImage
    look: HostLook
    checked: Checked

    @property
    def refusal(self) -> ProblemError | None:
        """Why it cannot be done; None: it can."""
        return self.checked.problems[0].problem() if self.checked.problems else None


async def plan_install(entry: NodeEntry, links: Links, ware: Ware) -> Planned:
    """Look at the host; nothing changes. The agent's image is for where a kit does not suit.

    Raises:
        ProblemError: `ssh.*`, `link.*`, `kit.*`, `fleet.address`, `console.usage`.
    """
    host = _host(entry, links)
    look = await host.look()
    image = ware.images.get(look.arch)
    if image is None or (look.python and not look.contained and look.arch in ware.kits):
        planned = await _of_kit(entry, host, look, ware)
        unsuited = [each for each in planned.checked.problems if each.code in _UNSUITED]
        if image is None or not unsuited:
            return planned
        why = unsuited[0].detail
    elif look.contained:
        why = "it runs in a container there"
    else:
        why = "there is no kit for it" if look.python else "there is no python3 there"
    checked = await contained.check(host, image, look, why=why)
    return Planned(entry, image, look, checked)


async def _of_kit(entry: NodeEntry, host: KitHost, look: HostLook, ware: Ware) -> Planned:
    kit = ware.kits.get(look.arch)
    if kit is None:
        there = ", ".join(sorted({*ware.kits, *ware.images}))
        raise ProblemError(
            "kit.none",
            f"the host is {look.arch}, and what there is is for {there}",
            params={"arch": look.arch},
            hint=f"Make one: roost agent kit make --arch {look.arch}",
        )
    if not look.python:
        raise no_python()
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
    host, parcel, look = _host(planned.entry, links), planned.parcel, planned.look
    place = await host.copy(parcel, copied=copied)
    if isinstance(parcel, AgentImage):
        await contained.install(host, place, parcel, look, hear=hear)
    else:
        await host.install(place, look, hear=hear)
    if not planned.checked.facts.get("systemd"):
        return None
    log = planned.checked.facts.get("log") or "journalctl -u roost-agent"
    return await _answer(planned.entry, links, look=f"{host.host.typed} sudo {log}")


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


async def _answer(entry: NodeEntry, links: Links, *, look: str) -> NodeFacts:
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
                    hint=f"See why: {look}",
                ) from None
        finally:
            await client.close()
        await asyncio.sleep(ASK_AGAIN_SECONDS)
