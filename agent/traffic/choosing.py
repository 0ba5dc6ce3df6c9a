"""Which home this node's proxies have: it stays while there is any proxy."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from agent.containers.runtime import NodeRuntime
from agent.durable import write_whole
from agent.host.real_paths import ROOT, below, here
from agent.traffic.gateways import Gateways
from agent.traffic.homes import Home
from agent.traffic.units import Units

RunBy = Literal["auto", "systemd", "container"]
SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
_NOTE = "home"
log = logging.getLogger(__name__)


def home_of(
    runtime: NodeRuntime,
    files: Path,
    *,
    image: str,
    run_by: RunBy = "auto",
    root: Path = ROOT,
) -> Home:
    """systemd where that runs and the node has a HAProxy, else containers. Blocks.

    Args:
        files: the folder with one folder for each workload that has a proxy.
        image: the gateway's.
        run_by: what the operator says.
        root: the machine's.
    """
    haproxy = _program("haproxy", root)
    by: RunBy = run_by
    if by == "auto":
        by = "systemd" if haproxy is not None and below(SYSTEMD, root).is_dir() else "container"
        before = _noted(files)
        if before is not None and any(each.is_dir() for each in files.iterdir()):
            by = before
        elif before != by:
            _note(files, by)
    if by == "systemd" and haproxy is not None:
        return Units(haproxy, files, root=root)
    return Gateways(runtime, image, files)


def _program(name: str, root: Path) -> Path | None:
    for folder in f"{os.defpath}:/usr/sbin:/usr/local/sbin".split(":"):
        path = here(f"{folder}/{name}", root)
        if path.is_file() and os.access(path, os.X_OK):
            return Path(folder, name)
    return None


def _note(files: Path, by: RunBy) -> None:
    """Keep the choice for the next start; where nothing can be written, whoever must says so."""
    try:
        files.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(files / _NOTE, by.encode())
    except OSError as error:
        log.warning("Which home proxies have cannot be kept in %s: %s", files, error)


def _noted(files: Path) -> RunBy | None:
    try:
        text = (files / _NOTE).read_text(encoding="utf-8")
    except OSError:
        return None
    return "systemd" if text == "systemd" else "container"
