"""The folders with whole Debians that tests/real/make-roots makes. Nothing writes into them."""

from __future__ import annotations

import os
from pathlib import Path

DOCKER = "docker-sid"


def folder(name: str) -> Path:
    """Where a root is; tests/real/make-roots goes by the same variables."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("ROOST_TESTS_CACHE") or f"{caches}/roost-tests") / name


def is_made(name: str) -> bool:
    """Whether it is there and complete."""
    return (folder(name) / ".roost-complete").exists()
