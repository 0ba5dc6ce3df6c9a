"""The command for a shell on a node, or in one of its containers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.link.address import parse_address
from console.link.ssh_problems import target


def shell_command(fleet: Path, entry: NodeEntry, container: str | None) -> Sequence[str]:
    """What to run in the terminal.

    Raises:
        ProblemError: `console.usage` where there is no way to a shell.
    """
    if container is not None:
        return [
            *(sys.executable, "-m", "console.cli.main"),
            *(["--fleet", str(fleet)] if fleet.exists() else []),
            *("container", "exec", "-it", entry.name, container, "--", "sh"),
        ]
    address = parse_address(entry.address)
    if address.kind == "unix":
        return [os.environ.get("SHELL") or "/bin/sh"]
    if address.kind == "ssh":
        program = shlex.split(os.environ.get("ROOST_SSH", "")) or ["ssh"]
        return [*program, "-t", *target(address)]
    raise ProblemError(
        "console.usage",
        f"{entry.name} is reached over https, which gives no shell on the node",
        params={"node": entry.name},
        hint="Open a shell in one of its containers, or use ssh.",
    )
