"""One rollout: its waves, why the node under the cursor is as it is, and what happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.widget import Widget

from agent.protocol.containers import LogLine
from agent.protocol.problems import Problem, ProblemError
from console.rollouts.record import Event, Judged, Rollout, RolloutNode
from console.rollouts.words import event_line
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.log_buffer import LogBuffer
from console.tui.ports import Context
from console.tui.rollouts import Followed, Follower
from console.tui.rows.rollout import (
    count_pieces,
    head_pieces,
    judge_head,
    judge_lines,
    node_entries,
    node_entry,
    wait_pieces,
)
from console.tui.rows.stages import TROUBLE
from console.tui.rows.waves import waves_of
from console.tui.screens.rollout_actions import RolloutActions
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece
from console.tui.widgets.lines import Lines
from console.tui.widgets.log_view import LogView
from console.tui.widgets.page import Entry, Page, wrap_entry
from console.tui.widgets.wave_grid import HEAD, WaveGrid

_BARS = 6  # header, breadcrumbs, three lines of the rollout, footer
_LOG = 3  # lines of events at least
# On a lower terminal there are no lines of the judge: Enter has them.
_JUDGED_FROM = 20


class RolloutScreen(RolloutActions):
    """`:rollout ID`; without one, the newest."""

    scope: ClassVar[Scope] = "rollout"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.crumb = f"rollout {command.argument}".strip()
        look = context.look
        self.grid = WaveGrid(look)
        self.buffer = LogBuffer()
        self.log_view = LogView(self.buffer, look)
        self.log_view.can_focus = False
        self.log_view.empty = "nothing has happened yet"
        self.judge = Lines(look)
        self.followed: Followed | None = None
        self.problem: Problem | None = None
        self._follower = Follower(self.desk, command.argument)
        self._events: list[Event] = []
        self._head, self._waits, self._counts = Bar(look), Bar(look), Bar(look)
        self._about = Page(look)
        self._about.can_focus = False
        self._looking = False
        self._asked_for: str | None = None  # the node that the judge was asked about

    def body(self) -> Sequence[Widget]:
        return [
            *(self._head, self._waits, self._counts, self.grid),
            *(self._about, self.judge, self.log_view),
        ]

    def arrive(self) -> None:
        super().arrive()
        self.grid.focus()

    # reading

    def bring_up_to_date(self) -> None:
        """Show what was read, and read what has changed since."""
        self.dirty.clear()
        self.show_rollout()
        self.look_again()

    def look_again(self) -> None:
        if not self._looking:
            self._looking = True
            run_beside(self, self._look, group="journal")

    async def _look(self) -> None:
        again = True
        try:
            while again:
                node = self._asked_for = self._here()
                found = await self._follower.look(node)
                first, self.followed = self.followed is None, found
                self.problem = None
                self._take_events(found.events)
                if self.is_current:
                    self.show_rollout()
                if first:
                    self.grid.show_wave(found.rollout.wave)
                # The first one says which nodes there are.
                again = (first and self._here() != node) or self._here() != self._asked_for
        except ProblemError as error:
            self.problem = error.problem()
            self.show_rollout()
        finally:
            self._looking = False

    def _take_events(self, found: Sequence[Event]) -> None:
        if found:
            self._events += found
            gone = self.buffer.add([LogLine(text=event_line(event)) for event in found])
            self.log_view.changed(gone=gone)

    # what is shown

    @property
    def rollout(self) -> Rollout | None:
        return self.followed.rollout if self.followed is not None else None

    def subject(self) -> Rollout | None:
        return self.rollout

    def is_lone(self) -> bool:
        followed = self.followed
        return followed is not None and followed.rollout.wants_runner and not followed.steered

    def _here(self) -> str | None:
        cell = self.grid.current
        return cell.name if cell is not None else None

    def _node(self) -> RolloutNode | None:
        """The one under the cursor."""
        name, rollout = self._here(), self.rollout
        if name is None or rollout is None:
            return None
        return next((node for node in rollout.nodes if node.name == name), None)

    def _judged(self) -> Judged | None:
        """Of the node under the cursor, as far as it is of what runs there now."""
        node, followed = self._node(), self.followed
        if node is None or followed is None or self._asked_for != node.name:
            return None
        judged = followed.judged
        return judged if judged is not None and judged.deployment == node.deployment else None

    def show_rollout(self) -> None:
        """As it was read last."""
        followed = self.followed
        if followed is None:
            text = self.problem.detail if self.problem is not None else "reading the journal ..."
            self.grid.empty = text
            self.grid.refresh()
            self.show_bars()
            return
        rollout, glyphs = followed.rollout, self.context.look.glyphs
        self.crumb = f"rollout {rollout.id}"
        self._head.show(*head_pieces(rollout))
        starting = self.context.rollouts.is_starting(rollout.id)
        waits = wait_pieces(followed, starting=starting)
        if self.problem is not None:
            waits = [(f" {self.problem.detail}", "bad")]
        self._waits.show(waits)
        self._counts.show(count_pieces(rollout, glyphs))
        self.grid.take(waves_of(rollout, glyphs))
        self._show_node()
        self.show_bars()

    def _show_node(self) -> None:
        """Why the one under the cursor is as it is, and its figures."""
        rollout, node, judged = self.rollout, self._node(), self._judged()
        about: list[Entry] = []
        lines: list[list[Piece]] = []
        width = self.size.width
        if rollout is not None and node is not None:
            about = [node_entry(rollout, node, judged)]
            if judged is not None and judged.findings:
                glyphs = self.context.look.glyphs
                lines = [judge_head(width), *judge_lines(judged, width, glyphs)]
        self._about.show(about)
        self.judge.show(lines)
        self._arrange(about, len(lines))

    def _arrange(self, about: Sequence[Entry], judged: int) -> None:
        """Waves get what they need, up to half of the room; the judge what it needs of what is
        left over; the events the rest."""
        width, room = self.size.width, self.size.height - _BARS
        told = sum(len(wrap_entry(entry, max(1, width))) for entry in about)
        told = min(told, 1 if self.size.height < _JUDGED_FROM else 3)
        grid = self.grid.lines_for(max(HEAD + 1, (room - told) // 2))
        left = room - told - grid - _LOG
        judged = max(0, min(judged, left)) if self.size.height >= _JUDGED_FROM else 0
        for widget, height in ((self.grid, grid), (self._about, told), (self.judge, judged)):
            if widget.styles.height is None or widget.styles.height.value != height:
                widget.styles.height = height
            widget.display = height > 0

    def on_resize(self, event: events.Resize) -> None:
        self.call_later(self.show_rollout)

    def on_wave_grid_moved(self) -> None:
        if not self.is_mounted:
            return
        self._show_node()
        self.show_bars()
        if self._here() != self._asked_for:
            self.look_again()

    def on_wave_grid_chosen(self) -> None:
        self.act_open()

    def on_log_view_moved(self) -> None:
        if self.is_current:
            self.show_bars()

    def position(self) -> list[Piece]:
        pieces: list[Piece] = []
        rollout = self.rollout
        if not self.context.rollouts.bell:
            pieces.append((" no bell", "warn"))
        if not self.log_view.following:
            first, last = self.log_view.seen
            pieces.append((f" events {first}-{last} of {len(self.buffer.shown)}", "warn"))
        first, end = self.grid.seen
        if rollout is not None and end - first < rollout.waves:
            pieces.append((f" <waves {first + 1}-{end} of {rollout.waves}>", "dim"))
        if rollout is not None:
            pieces.append((f" {len(rollout.nodes)} nodes ", "dim"))
        return pieces

    def is_production(self) -> bool:
        """Whether all of its nodes are."""
        nodes, rollout = self.context.fleet.nodes, self.rollout
        known = (
            [nodes[node.name] for node in rollout.nodes if node.name in nodes] if rollout else []
        )
        return bool(known) and all(view.entry.production for view in known)

    def redress(self) -> None:
        super().redress()
        self.show_rollout()

    # the cursor

    def act_move_up(self) -> None:
        self.grid.move(-1)

    def act_move_down(self) -> None:
        self.grid.move(1)

    def act_move_left(self) -> None:
        self.grid.move_sideways(-1)

    def act_move_right(self) -> None:
        self.grid.move_sideways(1)

    def act_move_top(self) -> None:
        self.grid.go_to(0)

    def act_move_bottom(self) -> None:
        self.grid.go_to(len(self.grid.cells) - 1)

    def act_move_wave_before(self) -> None:
        self.grid.move_wave(-1)

    def act_move_wave_after(self) -> None:
        self.grid.move_wave(1)

    def act_move_events_before(self) -> None:
        self.log_view.scroll_lines(-max(1, self.log_view.size.height - 1))

    def act_move_events_after(self) -> None:
        self.log_view.scroll_lines(max(1, self.log_view.size.height - 1))

    def act_rollout_trouble(self) -> None:
        """The next node that somebody may have to see to."""
        rollout = self.rollout
        if rollout is None:
            return
        stages = {node.name: node.stage for node in rollout.nodes}
        count, here = len(self.grid.cells), self.grid.cursor
        for step in range(1, count + 1):
            number = (here + step) % count
            if stages.get(self.grid.cells[number].name) in TROUBLE:
                self.grid.go_to(number)
                return
        self.say("No node is in trouble.", "good")

    # looking

    def act_open(self) -> None:
        """All about the node under the cursor."""
        from console.tui.screens.dialog import TextDialog

        rollout, node = self.rollout, self._node()
        if rollout is not None and node is not None:
            entries = node_entries(rollout, node, self._judged(), self._events)
            self.app.push_screen(TextDialog(self.context, entries, title=node.name))

    def act_rollout_details(self) -> None:
        if self.followed is not None:
            self.show_all(self.followed)

    def act_rollout_node(self) -> None:
        """The node's own screen."""
        name = self._here()
        if name is not None and name in self.context.fleet.nodes:
            self.host.drill(f"node {name}")
        elif name is not None:
            self.say(f"{name} is not in this fleet any more.", "warn")

    def act_copy(self) -> None:
        rollout, node = self.rollout, self._node()
        if rollout is not None and node is not None:
            entries = node_entries(rollout, node, self._judged(), self._events)
            text = "".join(f"{entry.label}{entry.text}\n" for entry in entries)
            self.copy(f"{node.name}\n{text}", node.name)
