"""One look at a node: the first event of its live stream says everything in one request."""

from __future__ import annotations

import asyncio

import msgspec

from agent.protocol.findings import Finding
from agent.protocol.live import LiveContainer, LiveGpu, LiveNode, Snapshot
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.live import read_snapshot
from console.fleet.picture import NodeView
from console.link.client import NodeClient
from console.link.deadline import within
from console.link.problems import too_slow
from console.link.requests import ANSWER_TIMEOUT_SECONDS
from console.link.stream import Stream


class Look(msgspec.Struct, kw_only=True):
    """What a node shows at one moment."""

    live: LiveNode
    facts: NodeFacts
    gpus: list[LiveGpu]
    containers: list[LiveContainer]
    findings: list[Finding]  # the worst first


async def look_at(entry: NodeEntry, client: NodeClient, *, timeout: float | None) -> Look:
    """Ask a node for everything.

    Raises:
        ProblemError: the agent's own, `link.*` or `ssh.*`.
    """
    stream = await client.events()
    try:
        snapshot = await within(
            timeout or ANSWER_TIMEOUT_SECONDS, _first_snapshot(entry.name, stream)
        )
    except asyncio.TimeoutError:
        raise too_slow(entry.name) from None
    finally:
        stream.close()
    return _typed(entry, snapshot)


async def _first_snapshot(node: str, stream: Stream) -> Snapshot:
    while True:
        for event in await stream.read():
            if event.name == "snapshot":
                return read_snapshot(node, event.data)


def _typed(entry: NodeEntry, snapshot: Snapshot) -> Look:
    view = NodeView(entry)
    view.sections = snapshot.sections
    live, facts = view.node(), view.facts()
    if live is None or facts is None:
        raise _not_ready(entry.name)
    return Look(
        live=live,
        facts=facts,
        gpus=view.gpus(),
        containers=view.containers(),
        findings=view.findings(),
    )


def _not_ready(node: str) -> ProblemError:
    return ProblemError(
        "node.not_ready",
        "its agent has no picture of the node yet",
        params={"node": node},
        hint="Try again in a second.",
    )
