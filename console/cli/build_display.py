"""How far builds of engines are, on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from console.cli.live_lines import NODES_SHOWN, LiveLines
from console.cli.table import cells
from console.engines.build_times import stage_done
from console.engines.node_build import NodeBuild
from console.fleet.job_words import doing
from console.text import age, clean, plural

_SOON_SECONDS = 5.0
# Percent: without a terminal a line for each of these.
_TOLD_EVERY = 25


class BuildDisplay(LiveLines):
    """Shows builds until it is left."""

    def __init__(self, builds: Sequence[NodeBuild], out: TextIO | None = None) -> None:
        """`out` None: standard error."""
        super().__init__(out)
        self._builds = builds

    def lines(self, room: int) -> list[str]:
        busy = [build for build in self._builds if build.stage == "under way"]
        shown = busy[: min(room, NODES_SHOWN)]
        wide = max((cells(clean(_name(build))) for build in shown), default=0)
        lines = [build_line(build, wide) for build in shown]
        if len(busy) > len(shown):
            lines.append(f"and {len(busy) - len(shown)} more")
        return [*lines, self.total()]

    def total(self) -> str:
        ended = sum(build.ended for build in self._builds)
        waiting = sum(build.stage == "waiting" for build in self._builds)
        more = f", {waiting} wait for their turn" if waiting else ""
        return f"{ended} of {plural(len(self._builds), 'build')} ended{more}"

    def news(self) -> list[tuple[str, str]]:
        return [(_name(build), told) for build in self._builds if (told := _news(build))]


def build_line(build: NodeBuild, wide: int = 0) -> str:
    """One build: `plant-1-t4 detector  building  43%  about 3m left`."""
    name = _name(build)
    return f"{name}{' ' * max(0, wide - cells(clean(name)))}  {_doing(build)}"


def _name(build: NodeBuild) -> str:
    return f"{build.entry.name} {build.model}"


def _doing(build: NodeBuild) -> str:
    if build.job is None:
        return "connecting" if build.stage == "under way" else build.stage
    left = build.seconds_left
    about = (
        "" if left is None else "a few seconds" if left < _SOON_SECONDS else f"about {age(left)}"
    )
    waits = build.job.reason if build.job.state in ("queued", "running") else None
    share = stage_done(build.job)
    done = "" if share is None else f"{int(100 * share)}%"
    parts = [doing(build.job), done, about and f"{about} left", waits or ""]
    return "  ".join(part for part in parts if part)


def _news(build: NodeBuild) -> str:
    """Its stage and a round figure; "" while there is nothing to tell."""
    if build.stage == "failed":
        return "failed"
    if build.job is None:
        waits = build.stage == "waiting" and build.source is not None
        return f"waits for {build.source.entry.name}" if waits and build.source else ""
    if build.stage == "done":
        done = build.job.result
        return f"from {done['from']}" if "from" in done else done.get("engine", build.job.state)
    part = int(100 * (stage_done(build.job) or 0.0)) // _TOLD_EVERY * _TOLD_EVERY
    return doing(build.job) + (f" {part}%" if part else "")
