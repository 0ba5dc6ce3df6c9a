"""Writes to the terminal only the cells that differ from what it shows.

Textual 8.2.8 writes every span of every changed region, each with its own style: 10.7 KB/s for a
table in which 20 cells change a second. `CellDiffDisplay` keeps a picture of the terminal instead.
It overrides the private `App._display`, so Textual is pinned to that version.
"""

from __future__ import annotations

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, RenderableType
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, ReturnType
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.events import Resize
from textual.geometry import Offset
from textual.screen import Screen
from textual.timer import Timer
from textual.types import CSSPathType

from console.tui.picture import Picture

# The writer thread holds at most 30 writes, then blocks the event loop. A frame is one write.
_MAX_WAITING_WRITES = 2
# How soon to look again whether the terminal has taken what was written.
_RETRY_SECONDS = 0.05


class CellDiffDisplay(App[ReturnType]):
    """A Textual App with a terminal picture; inline and headless apps are displayed as ever.

    While the terminal (a stalled SSH link) does not take what was written, frames are left out;
    the next one that is written holds everything that changed since.
    """

    def __init__(
        self,
        driver_class: type[Driver] | None = None,
        css_path: CSSPathType | None = None,
        watch_css: bool = False,  # noqa: FBT001, FBT002  # Textual's signature
        ansi_color: bool | None = None,  # noqa: FBT001
    ) -> None:
        super().__init__(driver_class, css_path, watch_css, ansi_color)
        self.bytes_written = 0
        """Bytes of all frames so far; mode switches and the clipboard are not counted."""
        self.frames_left_out = 0
        """Frames that the terminal was too slow for."""
        self._picture = Picture(0, 0)
        self._retry: Timer | None = None
        self._in_band = False  # the terminal itself told the last size
        self._cursor = Offset(0, 0)

    def redraw(self) -> None:
        """Write the whole screen again (something else wrote over it)."""
        self._picture.forget()
        self._write_changes()

    def on_resize(self, event: Resize) -> None:
        """The terminal has rearranged what it shows, whatever its size is now.

        Textual sends this too whenever it takes the terminal: at the start, and after the app was
        suspended and somebody else wrote there. A terminal that is then asked to tell its size in
        band answers with the size that it has: nothing was rearranged.
        """
        in_band = event.pixel_size is not None
        answer = in_band and not self._in_band and event.size == self._picture.size
        self._in_band = in_band
        if not answer:
            self._picture.forget()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if self._batch_count or not self._shows_cells():
            super()._display(screen, renderable)
            return
        try:
            if self._picture.size != self.size:
                self._picture.resize(*self.size)
            self._take(renderable)
            self._write_changes()
        except Exception as error:  # noqa: BLE001  # as Textual does: it ends the app with a report
            self._handle_exception(error)
        finally:
            self.post_display_hook()

    def _shows_cells(self) -> bool:
        driver = self._driver
        return (
            self._running
            and not self._closed
            and not self.is_headless
            and driver is not None
            and not driver.is_inline
        )

    def _take(self, update: RenderableType | None) -> None:
        """Put a compositor update into the picture, cropped as its own `render_segments` does."""
        put = self._picture.put
        colors: ColorSystem = COLOR_SYSTEMS[self.console.color_system or "truecolor"]
        if isinstance(update, LayoutUpdate):
            for y, strips in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in strips:
                    put(x, y, strip, colors)
                    x += strip.cell_length
        elif isinstance(update, ChopsUpdate):
            for y, x1, x2 in update.spans:
                chops = zip(update.chop_ends[y], update.chops[y].items(), strict=False)
                for end, (x, chop) in chops:
                    if chop is not None and x < x2 and end > x1:
                        put(x, y, chop if end <= x2 else chop.crop(0, x2 - x), colors)
        elif update is not None:
            raise TypeError(f"Textual has a new kind of update: {type(update).__name__}")

    def _write_changes(self) -> None:
        """Write what differs; while the terminal is behind, try again later."""
        driver = self._driver
        if driver is None or not self._shows_cells():
            return
        writer: WriterThread | None = getattr(driver, "_writer_thread", None)
        if writer is not None:
            if not writer.is_alive():
                return  # suspended; resuming displays again
            if writer._queue.qsize() > _MAX_WAITING_WRITES:  # noqa: SLF001  # nothing public tells
                self._leave_out_frame()
                return
        frame = self._picture.update()
        cursor = self.size.clamp_offset(self.cursor_position)
        if cursor and (frame or cursor != self._cursor):
            # Hidden, but input methods open their window here. (0, 0) is nobody's cursor.
            frame += f"\x1b[{cursor.y + 1};{cursor.x + 1}H"
        self._cursor = cursor
        if not frame:
            return
        if self._sync_available:
            frame = f"{SYNC_START}{frame}{SYNC_END}"
        driver.write(frame)
        driver.flush()
        self.bytes_written += len(frame.encode())

    def _leave_out_frame(self) -> None:
        self.frames_left_out += 1
        if self._retry is None:
            self._retry = self.set_timer(_RETRY_SECONDS, self._catch_up)

    def _catch_up(self) -> None:
        self._retry = None
        self._write_changes()
