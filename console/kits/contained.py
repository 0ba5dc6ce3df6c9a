"""The agent in a container of its image, on a host whose Python is too old or that has none.

What runs there is agent/kit/container.sh: a shell and the host's own Docker or Podman suffice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

import msgspec

from console.kits.agent_image import AgentImage, script_source
from console.kits.hosts import Checked, HostLook, KitHost, Refusal, uninstall_words
from console.kits.wheels import PYTHONS
from console.text import size

# What an unpacked kit takes, with room to spare; the database, uploads and one engine as
# agent/kit/installer.py has it.
KIT_BYTES, STATE_BYTES = 150 << 20, 200 << 20
ROOT, STATE = "/opt/roost", "/var/lib/roost"
AGAIN = "Bring it another version: roost agent upgrade {} --kit FILE"
_NEEDS = {ROOT: KIT_BYTES, STATE: STATE_BYTES}


class Room(msgspec.Struct, kw_only=True):
    """What the filesystem of a place has left."""

    place: str
    filesystem: str
    free_bytes: int
    writable: bool


class HostFacts(msgspec.Struct, kw_only=True):
    """What container.sh finds. An empty text is what is not there."""

    os: str
    driver: str
    python: str
    cli: str  # docker or podman, where its socket is there, too
    systemd: bool
    root: bool
    group: bool
    refuses: str  # what the runtime says, where it does not work
    groups: bool  # there is a command that makes groups
    joins: bool  # the account has to become a member of it
    absent: list[str]
    rooms: list[Room]  # /opt/roost, /var/lib/roost, and where the runtime has its images
    layers: str  # of the image that the runtime has under the name
    version: str  # of the agent that is current
    kit: str
    name_taken: bool  # another container has the agent's name
    needs_systemd: bool  # the runtime starts nothing after a boot, and there is no systemd
    contained: bool
    line: str  # with which it is run


async def check(host: KitHost, image: AgentImage, look: HostLook, *, why: str) -> Checked:
    """What would happen there, in a container for that reason. Changes nothing.

    Raises:
        ProblemError: `ssh.*`, `link.unreachable`, `kit.installer`.
    """
    words = ("check", "--json", "--image", image.tag, "--member", look.user)
    source = await asyncio.to_thread(script_source)
    facts = await host.asked("sh", source, look, words, HostFacts)
    return judged(facts, image, look, why=why)


async def install(
    host: KitHost, place: str, image: AgentImage, look: HostLook, *, hear: Callable[[str], None]
) -> None:
    """Install what was copied, and remove the copy.

    Raises:
        ProblemError: `ssh.*`, `link.unreachable`, `kit.*`.
    """
    words = ["install", "--json", "--archive", place, "--image", image.tag]
    words += ["--version", image.version, "--layers", " ".join(image.diff_ids)]
    source = await asyncio.to_thread(script_source)
    await host.told("sh", source, look, [*words, "--member", look.user], hear)
    await host.remove(place)


async def uninstall(
    host: KitHost, look: HostLook, *, everything: bool, hear: Callable[[str], None]
) -> None:
    """Remove the agent; `everything`: its data and configuration, too.

    Raises:
        ProblemError: `ssh.*`, `link.unreachable`, `kit.*`.
    """
    source = await asyncio.to_thread(script_source)
    await host.told("sh", source, look, uninstall_words(everything=everything), hear)


def judged(facts: HostFacts, image: AgentImage, look: HostLook, *, why: str) -> Checked:
    """The plan, and what stands in its way."""
    if facts.python and _key(facts.python) < _key(PYTHONS[0]):
        why = f"Python {facts.python} is too old"
    first = f"{why}: the agent will run as a container of {image.tag}"
    return Checked(
        version=image.version,
        id=image.kit,
        facts={
            "os": facts.os or None,
            "python": facts.python or None,
            "runtimes": [facts.cli] if facts.cli else [],
            "driver": facts.driver or None,
            "systemd": True,  # or the runtime: either way it is started
            "log": "journalctl -u roost-agent"
            if facts.systemd
            else f"{facts.cli} logs roost-agent",
            "line": facts.line,
        },
        plan=[first, *_plan(facts, image, look)],
        problems=list(_problems(facts, image)),
    )


def _plan(facts: HostFacts, image: AgentImage, look: HostLook) -> Iterator[str]:
    if facts.kit == image.kit and facts.contained:
        yield f"agent {image.version} is there already"
    elif not facts.kit:
        yield f"unpack agent {image.version} to {ROOT}/{image.kit}, and make it the current one"
    if facts.layers != " ".join(image.diff_ids):
        yield f"copy the image, {size(image.size_bytes)}, and load it: {size(image.unpacked_bytes)}"
    if not facts.group:
        yield "make the group roost"
    if facts.joins:
        yield f"let {look.user} use the agent: into the group roost"
    for path in facts.absent:
        yield f"write {path}" if path.endswith(".yaml") else f"make {path}"
    if facts.systemd:
        yield "start it as roost-agent.service, now and at every boot"
    else:
        yield f"start it; {facts.cli or 'the runtime'} keeps it running, no systemd is here"
    if facts.line:
        yield facts.line


def _problems(facts: HostFacts, image: AgentImage) -> Iterator[Refusal]:
    if not facts.cli:
        yield Refusal(
            code="kit.runtime",
            detail="no docker or podman whose socket is there",
            hint="Start it there: sudo systemctl enable --now docker (or podman.socket).",
        )
    elif facts.refuses:
        yield Refusal(
            code="kit.runtime",
            detail=f"{facts.cli} does not work there: {facts.refuses}",
            hint=f"See there: sudo {facts.cli} info",
        )
    if facts.needs_systemd:
        yield Refusal(
            code="kit.service",
            detail="podman starts no container after a boot, and systemd does not run there",
            hint=f"Use Docker there, or systemd; or a python3 of {PYTHONS[0]} or newer and a kit.",
        )
    if facts.name_taken:
        yield Refusal(
            code="kit.name",
            detail="a container named roost-agent is there that is not the agent's",
            hint=f"Rename it there: sudo {facts.cli} rename roost-agent OTHER",
        )
    if not facts.group and not facts.groups:
        yield Refusal(
            code="kit.group",
            detail="there is no group roost, and neither groupadd nor addgroup to make it",
            hint="Add it to /etc/group there by hand, with your login as its member.",
        )
    if facts.kit and not facts.contained:
        yield Refusal(
            code="kit.way",
            detail=f"agent {facts.version} is there, installed from a kit",
            hint=f"{AGAIN.format('NODE')}. Or first: roost node uninstall, which keeps its data.",
        )
    elif facts.kit and facts.kit != image.kit:
        older = _key(image.version) < _key(facts.version)
        yield Refusal(
            code="kit.older" if older else "kit.way",
            detail=f"agent {facts.version} ({facts.kit}) runs in a container there,"
            f" and the image has {image.version} ({image.kit})",
            hint=f"{AGAIN.format('NODE')}: it goes back by itself if that does not answer.",
        )
    yield from _no_room(facts, image)


def _no_room(facts: HostFacts, image: AgentImage) -> Iterator[Refusal]:
    # The runtime unpacks the archive beside its images before it has the layers.
    needs = dict(_NEEDS)
    if facts.kit == image.kit:
        needs[ROOT] = 0
    loading = 0 if facts.layers == " ".join(image.diff_ids) else 2 * image.unpacked_bytes
    wanted: dict[str, int] = {}
    for room in facts.rooms:
        filesystem = room.filesystem
        wanted[filesystem] = wanted.get(filesystem, 0) + needs.get(room.place, loading)
        if not room.writable:
            yield Refusal(
                code="kit.read_only",
                detail=f"{room.place} is on a filesystem that is read-only",
                hint=f"Mount a writable folder at {room.place}.",
            )
    free = {room.filesystem: room for room in facts.rooms}
    for filesystem, count in wanted.items():
        if (room := free[filesystem]).free_bytes < count and room.writable:
            yield Refusal(
                code="kit.no_space",
                detail=f"{room.place} has {size(room.free_bytes)} free, {size(count)} are needed",
                hint="Make room there.",
            )


def _key(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
