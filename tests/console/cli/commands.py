"""Runs the real `roost` as a person would, with a fleet and a home of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from console.fleet.inventory import Inventory, NodeEntry

ROOST = Path(sys.executable).with_name("roost")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A person's, with `home` in which nothing of ours lies."""
    kept = {
        key: value
        for key, value in os.environ.items()
        # A test's terminal says itself what it is.
        if not key.startswith("ROOST_") and key not in {"COLUMNS", "LINES", "TERM"}
    }
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        **(more or {}),
    }


def roost(
    home: Path,
    *arguments: str | Path,
    given: str = "",
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run `roost` with `given` on a pipe as its standard input."""
    done = subprocess.run(
        [ROOST, *arguments],
        input=given,
        capture_output=True,
        text=True,
        env=environment(home, env),
        check=False,
        timeout=50,
    )
    return Done(done.returncode, done.stdout, done.stderr)


async def roost_beside(home: Path, *arguments: str | Path, given: str = "") -> Done:
    """The same beside servers that run in the test's own loop."""
    return await asyncio.to_thread(roost, home, *arguments, given=given)


def write_fleet(file: Path, entries: Iterable[NodeEntry]) -> Path:
    """A fleet.yaml that lists the entries."""
    document = msgspec.to_builtins(Inventory(nodes=list(entries)))
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file
