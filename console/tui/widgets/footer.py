"""The last line: keys from the registry, or what has to be said just now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual import events
from textual.timer import Timer

from console.tui.action import Action
from console.tui.keys import key_words
from console.tui.look.look import Look
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece

_SAY_SECONDS = 12.0


def key_hints(
    actions: Sequence[Action],
    keymap: Mapping[str, str],
    width: int,
    *,
    usable: Callable[[Action], bool] = lambda _: True,
) -> list[Piece]:
    """As many of the actions' keys as fit into `width` cells, the most wanted first."""
    wanted = sorted(
        (a for a in actions if a.footer is not None and usable(a)), key=lambda a: a.footer or 0
    )
    pieces: list[Piece] = []
    room = width
    for action in wanted:
        key = key_words(keymap.get(action.id, action.key).split(",")[0])
        need = len(key) + len(action.label) + (3 if pieces else 1)
        if need > room:
            break
        room -= need
        pieces += [("  ", "")] if pieces else []
        pieces += [(key, "key"), (f" {action.label}", "")]
    return pieces


class Footer(Bar):
    """Keys of the screen; a message hides them for a while; progress until it ends."""

    def __init__(
        self,
        look: Look,
        actions: Sequence[Action],
        keymap: Mapping[str, str],
        usable: Callable[[Action], bool],
    ) -> None:
        super().__init__(look)
        self._actions = actions
        self._keymap = keymap
        self._usable = usable
        self._said: list[Piece] | None = None
        self._progress: str | None = None
        self._timer: Timer | None = None

    def say(self, text: str, tone: str = "") -> None:
        """Say something once; it goes by itself, or with the next key."""
        self._said = [(text, tone)]
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_SAY_SECONDS, self.hush)
        self.bring_up_to_date()

    def hush(self) -> None:
        """Back to the keys."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._said is not None:
            self._said = None
            self.bring_up_to_date()

    def progress(self, text: str | None) -> None:
        """What is going on, and how to cancel it; None when it has ended."""
        self._progress = text
        self.bring_up_to_date()

    def on_resize(self, event: events.Resize) -> None:
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        if self._said is not None:
            self.show(self._said)
        elif self._progress is not None:
            self.show([(self._progress, "accent")], [(" Esc cancels", "dim")])
        else:
            width = self.size.width
            self.show(key_hints(self._actions, self._keymap, width, usable=self._usable))
