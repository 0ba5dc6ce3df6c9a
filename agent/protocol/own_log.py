"""The agent's own log on the wire."""

from __future__ import annotations

from typing import Literal

import msgspec

LIMIT_BYTES = 4 * 1024 * 1024


class OwnLog(msgspec.Struct, kw_only=True):
    """`GET /v1/log`: what the agent told of itself, the newest last.

    The journal goes back before the agent's last start; `memory` is of this run alone, and
    `reason` says why that is all.
    """

    source: Literal["journal", "memory"]
    reason: str | None = None
    lines: list[str]
    cut: bool = False  # there is more, older
