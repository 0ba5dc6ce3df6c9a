"""Reading a log line by line: follow, search, filter, wrap, save."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.timer import Timer
from textual.widget import Widget

from agent.protocol.containers import LogLine
from agent.protocol.problems import ProblemError
from console.text import plural
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.log_buffer import LogBuffer
from console.tui.ports import Context
from console.tui.rows.filters import compile_pattern
from console.tui.screens.base import View
from console.tui.widgets.line import Piece
from console.tui.widgets.log_view import LogView
from console.tui.widgets.question import Question

_PAINT_SECONDS = 0.25
_LEAN_PAINT_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class LogReader(View):
    """For screens about the log of something on a node.

    The classes below set `node` and `about` before their screen is shown.
    """

    node: str
    about: str  # "cam-01/web"
    # These do not go away by trying again.
    final: ClassVar[tuple[str, ...]]

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.buffer = LogBuffer()
        self.log_view = LogView(self.buffer, context.look)
        self.buffer.narrow(command.filter)
        self.since: str | None = None
        self.state = "connecting"
        self._paint: Timer | None = None
        self._gone = 0

    def body(self) -> Sequence[Widget]:
        return [self.log_view]

    def arrive(self) -> None:
        super().arrive()
        self.log_view.focus()
        self.read_again()

    def is_production(self) -> bool:
        view = self.context.fleet.nodes.get(self.node)
        return view is not None and view.entry.production

    def position(self) -> list[Piece]:
        view, buffer = self.log_view, self.buffer
        pieces: list[Piece] = []
        if buffer.filter.text:
            pieces.append((f" /{buffer.filter.text}", "warn"))
        if view.pattern is not None:
            pieces.append((f" find {view.pattern.pattern}", "warn"))
        if self.since:
            pieces.append((f" since {self.since}", "warn"))
        if view.wrap:
            pieces.append((" wrap", "dim"))
        following = self.state == "following"
        state = "PAUSED" if following and not view.following else self.state
        pieces.append((f" {state}", "good" if state == "following" else "warn"))
        first, last = view.seen
        pieces.append((f"  {first}-{last} of {len(buffer.shown)}", "dim"))
        return pieces

    def on_log_view_moved(self) -> None:
        if self.is_current:
            self.show_bars()

    # reading

    def read_again(self) -> None:
        """Forget what was read and begin anew."""
        self.buffer.clear()
        self.log_view.follow(on=True)
        self.log_view.changed()
        self.set_state("connecting")
        run_beside(self, self.read_log, group="log", exclusive=True)

    async def read_log(self) -> None:
        """Follow the log; where the link is cut, go on from the last line."""
        while True:
            try:
                await self.follow_log()
            except ProblemError as error:
                if error.code.startswith(self.final):
                    self.set_state("ended")
                    self.show_problem(error.problem(), about=self.about)
                    return
                self.set_state(f"cut ({error.code}), trying again")
            else:
                self.set_state("ended")
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def follow_log(self) -> None:
        """Take what comes after what was taken, with `take_lines` and `set_state`, until it ends.

        Raises:
            ProblemError: the link was cut, or one of `final`.
        """
        raise NotImplementedError

    def take_lines(self, lines: list[LogLine]) -> None:
        """Keep lines and show them soon."""
        self._gone += self.buffer.add(lines)
        self._paint_soon()

    def set_state(self, state: str) -> None:
        """Say how the reading goes."""
        self.state = state
        self.log_view.empty = "no lines yet" if state == "following" else state
        if self.is_mounted and self.is_current:
            self.show_bars()

    def _paint_soon(self) -> None:
        """Lines come faster than they can be read: paint a few times a second."""
        if self._paint is None:
            lean = self.context.profile.lean
            seconds = _LEAN_PAINT_SECONDS if lean else _PAINT_SECONDS
            self._paint = self.set_timer(seconds, self._paint_now)

    def _paint_now(self) -> None:
        self._paint = None
        gone, self._gone = self._gone, 0
        self.log_view.changed(gone=gone)

    # keys

    def act_move_up(self) -> None:
        self.log_view.scroll_lines(-1)

    def act_move_down(self) -> None:
        self.log_view.scroll_lines(1)

    def act_move_page_up(self) -> None:
        self.log_view.scroll_lines(-self.log_view.size.height)

    def act_move_page_down(self) -> None:
        self.log_view.scroll_lines(self.log_view.size.height)

    def act_move_top(self) -> None:
        self.log_view.scroll_lines(-len(self.buffer.shown))

    def act_move_bottom(self) -> None:
        self.log_view.follow(on=True)

    def act_move_left(self) -> None:
        self.log_view.scroll_columns(-1)

    def act_move_right(self) -> None:
        self.log_view.scroll_columns(1)

    def act_pause(self) -> None:
        self.log_view.follow(on=not self.log_view.following)

    def act_logs_wrap(self) -> None:
        self.log_view.toggle_wrap()

    def act_logs_times(self) -> None:
        self.log_view.toggle_times()

    def act_logs_filter(self) -> None:
        self.ask(Question("/", lambda text: self._narrow(text or ""), text=self.buffer.filter.text))

    def _narrow(self, text: str) -> None:
        self.buffer.narrow(text)
        self.log_view.follow(on=True)
        self.log_view.changed()

    def act_back(self) -> None:
        if self.buffer.filter.text:
            self._narrow("")
        elif self.log_view.pattern is not None:
            self.log_view.pattern = None
            self.log_view.changed()
        else:
            super().act_back()

    def act_logs_find(self) -> None:
        def find(text: str | None) -> None:
            if text:
                self.log_view.pattern = compile_pattern(text)
                self._find(len(self.buffer.shown) - 1, -1)

        self.ask(Question("find: ", find))

    def act_logs_next(self) -> None:
        self._find(self._found_at + 1, 1)

    def act_logs_previous(self) -> None:
        self._find(self._found_at - 1, -1)

    _found_at = -1

    def _find(self, start: int, step: int) -> None:
        pattern = self.log_view.pattern
        if pattern is None:
            self.say("Nothing to look for yet: f asks.")
            return
        index = self.buffer.find(pattern, start, step)
        if index is None:  # round, from the other end
            first = 0 if step > 0 else len(self.buffer.shown) - 1
            index = self.buffer.find(pattern, first, step)
            if index is None:
                self.say(f"{pattern.pattern} is not found.", "warn")
                return
            here = index == self._found_at
            end = "top" if step > 0 else "end"
            self.say("There is no other place." if here else f"Found from the {end} on again.")
        self._found_at = index
        self.log_view.show_line(index)

    def act_copy(self) -> None:
        first, last = self.log_view.seen
        lines = list(self.buffer.shown)[max(0, first - 1) : last]
        self.copy("".join(f"{line.text}\n" for line in lines), plural(len(lines), "line"))

    def act_export(self) -> None:
        from console.tui.export import suggested_name

        lines = list(self.buffer.shown)
        self.ask_where_to_save(
            suggested_name(str(self.command), "log"),
            lambda _: "".join(f"{line.at or '-'} {line.text}\n" for line in lines),
            plural(len(lines), "line"),
        )
