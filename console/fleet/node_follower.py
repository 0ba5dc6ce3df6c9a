"""Following one node: its stream, its picture, and when it is silent or gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.protocol.live import STALE_AFTER_SECONDS
from agent.protocol.problems import Problem, ProblemError
from console.fleet.back_off import REFUSALS, STEADY_SECONDS, BackOff
from console.fleet.live import apply_change, read_snapshot
from console.fleet.picture import NodeState, NodeView
from console.link.deadline import within
from console.link.problems import fell_silent, garbage

if TYPE_CHECKING:
    from console.link.client import NodeClient
    from console.link.events import Event
    from console.link.stream import Stream

# Silent so long, a connection is taken for dead and built anew.
CUT_AFTER_SECONDS = 45.0

log = logging.getLogger(__name__)


class NodeFollower:
    """Keeps a view live. Nothing that this node does reaches beyond its own view."""

    def __init__(
        self,
        view: NodeView,
        client: Callable[[], NodeClient],
        *,
        back_off: BackOff,
        changed: Callable[[str], None],
    ) -> None:
        """`client` may raise ProblemError; `changed` is told the node's name."""
        self.view = view
        self._client = client
        self._back_off = back_off
        self._changed = changed
        self._stream: Stream | None = None
        self._last_event_id: str | None = None
        self._heard_at = 0.0
        self._silent = False
        self._retry = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except ProblemError as problem:
                found = (_fell_silent(self.view.name) if self._silent else problem).problem()
            except Exception as error:
                log.exception("following %s failed", self.view.name)
                found = garbage(self.view.name, f"{type(error).__name__}: {error}").problem()
            if time.monotonic() - started > STEADY_SECONDS:
                self._back_off.reset()
            self._lost(found)
            self._retry.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._back_off.after(found.code), self._retry.wait())

    def retry(self) -> None:
        """Try now, if it waits to try again."""
        self._back_off.reset()
        self._retry.set()

    def look_at_silence(self, now: float) -> None:
        """Called about once a second with time.monotonic()."""
        if self._stream is None:
            return
        silent = now - self._heard_at
        if silent > CUT_AFTER_SECONDS:
            self._silent = True
            self._stream.close()
        elif silent > STALE_AFTER_SECONDS and self.view.state == "live":
            self._is("stale")

    async def _follow(self) -> None:
        """Until the stream ends, which is always a problem."""
        self._silent = False
        stream = self._stream = await self._client().events(self._last_event_id)
        self._heard_at = time.monotonic()
        received_before = self.view.bytes_received
        try:
            if self._last_event_id is not None:
                # The agent goes on from there, or sends a snapshot next: it need say nothing.
                self._heard()
            events = await stream.read()
            round_trip: float | None = time.monotonic() - stream.sent_at
            while True:
                self.view.bytes_received = received_before + stream.bytes_received
                for event in events:
                    self._take(event, round_trip)
                self._heard()
                events, round_trip = await stream.read(), None
        finally:
            self._stream = None
            stream.close()

    def _take(self, event: Event, round_trip: float | None) -> None:
        """`round_trip` in seconds, where the agent made the event within it."""
        view = self.view
        try:
            if event.name == "snapshot":
                snapshot = read_snapshot(view.name, event.data)
                view.sections = snapshot.sections
                view.cached = False
                if round_trip is not None:
                    view.clock_offset_seconds = snapshot.at - (time.time() - round_trip / 2)
                    view.clock_uncertainty_seconds = round_trip / 2
            elif event.name == "change":
                if self._last_event_id is None:
                    raise garbage(view.name, "a change before there was a picture")
                apply_change(view.name, view.sections, event.data)
            else:
                return  # of a newer agent
        except ProblemError:
            self._last_event_id = None  # the picture is begun anew
            raise
        self._last_event_id = event.id
        self._changed(view.name)

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self.view.seen_at = time.time()
        if self.view.state != "live" and not self.view.cached and self.view.sections:
            self.view.problem = None
            self._is("live")

    def _lost(self, problem: Problem) -> None:
        state: NodeState = "refused" if problem.code in REFUSALS else "offline"
        if (state, problem) != (self.view.state, self.view.problem):
            self.view.problem = problem
            self._is(state)

    def _is(self, state: NodeState) -> None:
        self.view.state = state
        self._changed(self.view.name)


def _fell_silent(node: str) -> ProblemError:
    return fell_silent(
        node,
        CUT_AFTER_SECONDS,
        hint="It is tried again by itself; the link or the machine may be down.",
    )
