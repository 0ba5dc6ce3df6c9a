"""Groups of the machine, for an agent whose own root is another one."""

from __future__ import annotations

import grp
from pathlib import Path

from agent.host.reading import read_text
from agent.host.real_paths import ROOT, here


def group_id(name: str, root: Path = ROOT) -> int:
    """A group's number. In another root by its /etc/group alone: no directory service is asked.

    Raises:
        KeyError: there is no such group.
    """
    if root == ROOT:
        return grp.getgrnam(name).gr_gid
    text, _ = read_text(here("/etc/group", root))
    for line in (text or "").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdecimal():
            return int(fields[2])
    raise KeyError(name)
