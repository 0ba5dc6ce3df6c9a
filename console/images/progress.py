"""How far the layers for one node are."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.images import Layer, WantedLayer
from console.images.rate import RateMeter


class Progress:
    """Counts bytes as they go over the link (encoded), and what they are of the layers (unpacked).

    What is done does not go back where a link is cut, as long as nothing has to be sent anew.
    """

    def __init__(self) -> None:
        self.sent_bytes = 0
        self._sizes: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        self._begun: set[str] = set()  # since it was planned last
        self._sent, self._unpacked = RateMeter(), RateMeter()

    def planned(self, wanted: Sequence[WantedLayer]) -> None:
        """The node lacks these now, and no others."""
        reached = self._positions
        self._positions = dict(self._sizes)
        for layer in wanted:
            self._sizes[layer.diff_id] = layer.size_bytes
            # What came of it is counted as it was encoded: never more than what it unpacks to.
            came = min(layer.received_bytes, layer.size_bytes)
            self._positions[layer.diff_id] = max(reached.get(layer.diff_id, 0), came)
        self._begun.clear()

    def went(self, layer: Layer, position: int, count: int) -> None:
        """`count` more bytes have gone; `position` of the unpacked layer is reached."""
        before = self._positions.get(layer.diff_id, 0)
        first = layer.diff_id not in self._begun
        self._begun.add(layer.diff_id)
        self._positions[layer.diff_id] = position
        self.sent_bytes += count
        self._sent.add(count)
        # The first step leaps over what was there before.
        self._unpacked.add(0 if first else max(0, position - before))

    @property
    def total_bytes(self) -> int:
        """Unpacked, of all layers that were lacking at some time."""
        return sum(self._sizes.values())

    @property
    def done_bytes(self) -> int:
        """Of `total_bytes`."""
        return sum(min(self._positions[name], size) for name, size in self._sizes.items())

    @property
    def bytes_per_second(self) -> float:
        """Over the link."""
        return self._sent.bytes_per_second

    @property
    def seconds_left(self) -> float | None:
        """At the rate of now; None: nothing goes."""
        rate = self._unpacked.bytes_per_second
        return (self.total_bytes - self.done_bytes) / rate if rate > 0 else None
