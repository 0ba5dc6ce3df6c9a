"""Who builds an engine, and who fetches it from whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from agent.protocol.engines import BuildRequest
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteStatus
from console.engines.node_build import NodeBuild
from console.images.following import see_through
from console.images.sites import LABEL
from console.link.client import NodeClient
from console.link.site import OLD_AGENT

NO_SITE = "it has no label site"
_OLD = frozenset({"request.not_found", "request.method"})
_NAMED = 3


class Look(msgspec.Struct, kw_only=True, frozen=True):
    """What a node says of an engine that it shall have."""

    key: str | None = None  # None: it could not say
    there: bool = False
    alone: str | None = None  # why it takes none of another node


class Share(msgspec.Struct, frozen=True):
    """What one build comes to, in words."""

    node: str
    model: str
    key: str | None
    does: str  # "builds", "has it", "fetches from cam-01"
    why: str = ""


async def look(client: NodeClient, request: BuildRequest, key: str, *, random: Random) -> Look:
    """Ask a node which engine that would be there. `key` is an idempotency key."""
    try:
        job = await see_through(client, await client.engines.look(request, key), random=random)
    except ProblemError as problem:
        return Look(alone=OLD_AGENT if problem.code in _OLD else problem.detail)
    said = job.result
    return Look(key=said.get("key"), there=said.get("there") == "yes", alone=said.get("alone"))


def share(
    builds: Sequence[NodeBuild], looks: Sequence[Look], sites: Mapping[str, SiteStatus]
) -> list[Share]:
    """Say of each build whose plan it takes (`source`), and tell it in words.

    Of the nodes of one site with the same key one is the source: one that serves its site, and of
    those one that has the engine already, or takes none of another, or the first.

    Args:
        looks: one for each build.
        sites: by node; one that did not answer is not there.
    """
    members = [
        _Member(build, seen, sites.get(build.entry.name))
        for build, seen in zip(builds, looks, strict=True)
    ]
    groups: defaultdict[tuple[str, str], list[_Member]] = defaultdict(list)
    for member in members:
        if member.site and member.seen.key is not None:
            groups[member.site, member.seen.key].append(member)
    for alike in groups.values():
        _choose(alike)
    return [_told(each, groups.get((each.site, each.seen.key or ""), [])) for each in members]


class _Member(NamedTuple):
    build: NodeBuild
    seen: Look
    status: SiteStatus | None

    @property
    def name(self) -> str:
        return self.build.entry.name

    @property
    def site(self) -> str:
        return self.build.entry.labels.get(LABEL, "")

    @property
    def has_it(self) -> bool:
        return self.seen.there and not self.build.request.rebuild

    @property
    def serves(self) -> bool:
        return self.status is not None and self.status.listening


def _choose(alike: Sequence[_Member]) -> None:
    able = [each for each in alike if each.serves]
    if not able:
        return
    first = min(able, key=lambda each: (not each.has_it, each.seen.alone is None))
    for each in alike:
        if each is not first and not each.has_it and each.seen.alone is None:
            each.build.source = first.build


def _told(member: _Member, alike: Sequence[_Member]) -> Share:
    # A node has several of a key where services are of one model.
    takers = [*dict.fromkeys(each.name for each in alike if each.build.source is member.build)]
    source = member.build.source
    why = ""
    if source is not None:
        does = f"fetches from {source.entry.name}"
    elif member.has_it:
        does = "has it"
    else:
        does, why = "builds", "" if takers else _why_alone(member, alike)
    if takers:
        more = f" and {len(takers) - _NAMED} more" if len(takers) > _NAMED else ""
        why = f"for {', '.join(takers[:_NAMED])}{more}"
    return Share(member.name, member.build.model, member.seen.key, does, why)


def _why_alone(member: _Member, alike: Sequence[_Member]) -> str:
    if member.seen.alone is not None:
        return member.seen.alone
    if not member.site:
        return NO_SITE
    if len(alike) == 1:
        return f"no other node of {member.site} here has its key"
    if member.serves:
        return "nobody else needs it"
    reasons = dict.fromkeys(each.status.reason or "" for each in alike if each.status is not None)
    said = "; ".join(filter(None, reasons)) or "none of them answered"
    return f"no node of {member.site} with its key serves its site: {said}"
