"""One lock for each thing that jobs touch, each with a holder that can be named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Held(NamedTuple):
    """A key that cannot be had now, and the id of the job that holds it."""

    key: str
    holder: str


class Locks:
    """Held by a job's id. A job that holds a key may take it again. Nobody waits here."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, int]] = {}  # key: holder, how often

    def take(self, keys: Iterable[str], asker: str) -> Held | None:
        """Take all keys; or none of them, and say who holds one."""
        wanted = sorted(set(keys))
        for key in wanted:
            holder, _ = self._held.get(key, (asker, 0))
            if holder != asker:
                return Held(key, holder)
        for key in wanted:
            self._held[key] = (asker, self._held.get(key, (asker, 0))[1] + 1)
        return None

    def release(self, keys: Iterable[str], asker: str) -> None:
        """Give back what was taken once; keys that `asker` does not hold are left alone."""
        for key in set(keys):
            holder, times = self._held.get(key, ("", 0))
            if holder == asker and times > 1:
                self._held[key] = (asker, times - 1)
            elif holder == asker:
                del self._held[key]

    def release_all(self, asker: str) -> None:
        """Give back everything that `asker` holds, however often it took it."""
        self._held = {key: held for key, held in self._held.items() if held[0] != asker}
