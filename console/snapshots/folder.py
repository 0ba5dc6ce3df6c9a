"""Where a person's snapshots lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SUFFIX = ".snapshot"


def snapshots_folder(environment: Mapping[str, str]) -> Path:
    """Where a person's snapshots lie unless another place is named."""
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "roost" / "snapshots"
