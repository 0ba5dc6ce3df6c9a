"""Whether plans in the store are what was kept."""

from __future__ import annotations

import os
from pathlib import Path

from agent.engines.plan_files import digest_of
from agent.protocol.engines import Engine


class WholePlans:
    """Remembers which plans were read, and how their files looked then."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def kept(self, plan: Path, sha256: str) -> None:
        """It was read just now, and has this digest. Blocks; raises OSError."""
        self._known[plan] = _looks(plan), sha256

    def damage(self, engine: Engine, *, read: bool = False) -> str | None:
        """Why its plan is not what was kept; None: it is.

        Blocks, for as long as it takes to read all of it where its file looks otherwise than when
        it was read last: another one of the same size may have been put there.

        Args:
            read: read it in any case, for what a disk lost by itself.
        """
        plan, kept = Path(engine.path), engine.manifest
        try:
            looks = _looks(plan)
            if looks[0] != kept.plan_bytes:
                return f"its plan has {looks[0]} bytes, and had {kept.plan_bytes}"
            known = self._known.get(plan)
            if read or known is None or known[0] != looks:
                known = looks, digest_of(plan)[0]
                if _looks(plan) == looks:  # else it is read again
                    self._known[plan] = known
        except OSError as error:
            self._known.pop(plan, None)
            return f"its plan cannot be read: {os.strerror(error.errno or 0)}"
        if known[1] != kept.plan_sha256:
            return "its plan is damaged: it has another digest than it had"
        return None


def _looks(path: Path) -> tuple[int, ...]:
    now = path.stat()
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev
