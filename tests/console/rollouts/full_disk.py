"""`python -m tests.console.rollouts.full_disk FOLDER`: a journal on a disk that gets full.

Prints what happened, as JSON. The folder is a small filesystem's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.rollouts.journal import Journal
from console.rollouts.record import Event, Rollout, RolloutNode
from console.rollouts.strategy import Strategy


def main(folder: Path) -> None:
    """Fill the disk in the midst of a rollout, and make room again."""
    journal = Journal(folder / "state")
    rollout = Rollout(
        id="aa",
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=1.0,
        strategy=Strategy(),
        nodes=[RolloutNode(name=f"n{number}", wave=0) for number in range(500)],
    )
    journal.plan(rollout, {})
    rollout = journal.begin("aa", by="maria")
    _fill(folder / "filler")
    full: str
    rollout.state = "paused"
    codes = []
    for _ in range(3):
        try:
            journal.save(rollout, [Event(at=2.0, by="jo", what="paused")] * 500)
        except ProblemError as problem:
            codes.append((problem.code, problem.detail))
    try:
        full = Journal(folder / "state").load("aa").state
    except ProblemError as problem:
        full = problem.code
    (folder / "filler").unlink()
    journal.save(rollout, [Event(at=2.0, by="jo", what="paused")])
    found = {
        "codes": codes,
        "full": full,
        "after": journal.load("aa").state,
        "events": [event.what for _, event in journal.events("aa")],
    }
    sys.stdout.write(json.dumps(found))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(os.urandom(size))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
