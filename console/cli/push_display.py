"""How far pushes are, on standard error: a few lines on a terminal, one line now and then else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from agent.protocol.jobs import AWAITING_LAYERS
from console.cli.live_lines import NODES_SHOWN, LiveLines
from console.cli.table import cells
from console.images.push import PushState
from console.text import age, clean, plural, size

_NOT_YET = AWAITING_LAYERS | {None}  # no stage of the node's own work
_WORDS = {
    "connecting": "connecting",
    "planning": "looking what it has",
    "sending": "sending",
    "waiting": "all sent",
    "done": "done",
    "failed": "failed",
}


class PushDisplay(LiveLines):
    """Shows the states that were added, of `nodes` that will be, until it is left."""

    def __init__(self, nodes: int, out: TextIO | None = None) -> None:
        """`out` None: standard error."""
        super().__init__(out)
        self._nodes = nodes
        self.states: list[PushState] = []

    def add(self, state: PushState) -> None:
        """Show this one too; it is looked at again and again."""
        self.states.append(state)

    def lines(self, room: int) -> list[str]:
        busy = [state for state in self.states if not state.ended]
        shown = busy[: min(room, NODES_SHOWN)]
        wide = max((cells(clean(state.node)) for state in shown), default=0)
        lines = [node_line(state, wide) for state in shown]
        if len(busy) > len(shown):
            lines.append(f"and {len(busy) - len(shown)} more")
        return [*lines, self.total()]

    def total(self) -> str:
        return total_line(self.states, self._nodes)

    def news(self) -> list[tuple[str, str]]:
        """Who began to send, has trouble, or has ended."""
        return [
            (state.node, _doing(state))
            for state in self.states
            if state.trouble is not None
            or state.note is not None
            or state.ended
            or state.stage == "sending"
        ]


def node_line(state: PushState, wide: int = 0) -> str:
    """One node: `plant-1-t4   43%  1.2 MiB/s  3m left`, or what it is at."""
    name = state.node + " " * max(0, wide - cells(clean(state.node)))
    if state.stage != "sending" or state.trouble is not None:
        return f"{name}  {_doing(state)}"
    return f"{name}  {_sending(state)}"


def total_line(states: Sequence[PushState], nodes: int) -> str:
    """All nodes: `1 of 3 nodes ended, 43% of 1.2 GiB, 1.2 MiB/s, 3m left`."""
    ended = sum(state.ended for state in states)
    parts = [f"{ended} of {plural(nodes, 'node')} ended"]
    total = sum(state.total_bytes for state in states)
    done = sum(state.done_bytes for state in states)
    rate = sum(state.bytes_per_second for state in states if state.stage == "sending")
    left = [state.seconds_left for state in states if state.stage == "sending"]
    if total:
        parts.append(f"{100 * done // total}% of {size(total)}")
    if rate:
        parts.append(f"{size(rate)}/s")
    # Of nodes whose turn has not come nobody knows what they lack.
    known = [seconds for seconds in left if seconds is not None]
    if len(states) == nodes and known and len(known) == len(left):
        parts.append(f"{age(max(known))} left")
    return ", ".join(parts)


def _doing(state: PushState) -> str:
    if state.trouble is not None:
        return f"trying again: {state.trouble}"
    if state.note is not None:
        return state.note
    job = state.job
    if state.stage == "waiting" and job is not None and job.stage not in _NOT_YET:
        part = f" {100 * job.done // job.total}%" if job.done is not None and job.total else ""
        return f"{job.stage}{part}"
    if state.stage == "waiting" and job is not None and job.state == "queued" and job.reason:
        return f"all sent; {job.reason}"
    return _WORDS[state.stage]


def _sending(state: PushState) -> str:
    done = 100 * state.done_bytes // state.total_bytes if state.total_bytes else 0
    rate = f"{size(state.bytes_per_second)}/s" if state.bytes_per_second else ""
    left = "" if state.seconds_left is None else f"{age(state.seconds_left)} left"
    return f"{done:>3}%  {rate:>10}  {left:>9}".rstrip()
