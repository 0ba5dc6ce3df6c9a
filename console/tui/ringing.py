"""When the terminal's bell rings: a rollout needs a person who was not called for that before."""

from __future__ import annotations

from console.tui.rollouts import Rollouts
from console.tui.rows.rollouts import calls_of


class Ringer:
    """Looks at what was read of all rollouts."""

    def __init__(self, board: Rollouts) -> None:
        self._board = board
        self._seen: object = None
        self._known: set[str] | None = None

    def new_calls(self) -> list[str]:
        """What a person is to see to and was not told of before, in words. What was so when this
        console first looked is no news."""
        listed = self._board.listed
        if listed is self._seen or self._board.read_at is None:
            return []
        self._seen = listed
        calls = {key: text for each in listed for key, text in calls_of(each).items()}
        known, self._known = self._known, {*(self._known or ()), *calls}
        return [] if known is None else [text for key, text in calls.items() if key not in known]
