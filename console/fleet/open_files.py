"""Enough open files for all nodes."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from console.fleet.inventory import NodeEntry

# A stream and a request each; ssh has its pipes, its end of the tunnel and, for a moment, more.
FILES_PER_NODE = {"unix": 2, "https": 2, "ssh": 6}
FILES_BESIDE = 100


def raise_open_files(entries: Iterable[NodeEntry]) -> str | None:
    """Raise this process's soft limit to what following `entries` needs.

    Returns:
        What to tell the user where the hard limit is too low, else None.
    """
    needed = FILES_BESIDE + sum(
        FILES_PER_NODE.get(entry.address.partition(":")[0], 2) for entry in entries
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return None
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most >= needed:
        return None
    return (
        f"this fleet needs {needed} open files and {hard} are allowed: some nodes will not be"
        " reached. Raise the hard limit (ulimit -Hn, or LimitNOFILE=, or limits.conf)."
    )
