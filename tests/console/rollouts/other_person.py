"""`python -m tests.console.rollouts.other_person FOLDER ROLLOUT WISH UID GID`: as another user of
this machine, wish something of a rollout. Begun as root; prints who that was, or the problem."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.fleet.links import stated_owner
from console.rollouts.journal import Journal
from console.rollouts.locks import locked
from console.rollouts.record import Wish


def main(folder: Path, rollout: str, wish: Wish, user: int, group: int) -> None:
    os.setgroups([group])
    os.setgid(group)
    os.setuid(user)
    os.umask(0o022)
    try:
        steered = locked(folder, rollout)
        Journal(folder).wish(rollout, wish, by=stated_owner())
    except ProblemError as problem:
        sys.stdout.write(problem.code)
    else:
        sys.stdout.write(f"{stated_owner().partition('@')[0]} {steered}")


if __name__ == "__main__":
    _, place, name, wanted, *ids = sys.argv
    main(Path(place), name, wanted, *map(int, ids))  # type: ignore[arg-type]
