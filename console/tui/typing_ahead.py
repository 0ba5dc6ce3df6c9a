"""One key after another: a key that was typed ahead acts on what the key before it opened.

Textual hands every key to the widget that has the focus when the key is read. Who types `:q`
and Enter in one go would so press Enter on the table behind the prompt that is still opening.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Generic, TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode

from console.tui.screens.base import View

T = TypeVar("T")

# A prompt or a screen that takes longer to open than this does not get the keys any more.
PATIENCE_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.005


class TypingAhead(App[T], Generic[T]):
    """Holds keys back until the one before has done all that it does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last_key_at = 0.0
        """When a key came in, in time.monotonic() seconds."""
        self._held: deque[events.Key] = deque()
        self._typed_at: float | None = None  # when the key that is under way was typed

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        self.last_key_at = time.monotonic()
        self._held.append(event)
        # A widget that goes away takes the callback with it: no key may wait for it for ever.
        if self._typed_at is None or self._waited_too_long:
            await self._type(self._held.popleft())

    async def _type(self, event: events.Key) -> None:
        self._typed_at = time.monotonic()
        # The key goes from the focused widget up to the app; a callback follows it on its way.
        way = self.focused or self.screen
        await super().on_event(event)
        self._follow(way)

    def _follow(self, node: DOMNode | None) -> None:
        if node is None or node is self:
            self.call_later(self._settle)
        elif not node.call_later(self._follow, node.parent):
            self._follow(None)

    async def _settle(self) -> None:
        """The key has been everywhere; wait for what it opened, then type the next one."""
        if self._is_opening and not self._waited_too_long:
            self.set_timer(LOOK_EVERY_SECONDS, self._settle)
            return
        self._typed_at = None
        if self._held:
            await self._type(self._held.popleft())

    @property
    def _waited_too_long(self) -> bool:
        since = self._typed_at
        return since is not None and time.monotonic() - since >= PATIENCE_SECONDS

    @property
    def _is_opening(self) -> bool:
        """Whether a screen or a prompt is on its way that will take the keys."""
        if not self.screen_stack:
            return False
        screen = self.screen
        if not screen.is_mounted:
            return True
        return isinstance(screen, View) and screen.is_asking and not screen.prompt_has_focus
