"""What the demo's rollouts screen has to show: releases that go out on its simulated nodes.

`python -m console.cli.demo_rollouts FLEET`, a process of its own: the interface is there before it
begins. It steers all that is open in the journal of its environment, and ends with its standard
input.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import yaml

from agent.protocol.problems import ProblemError

# The interface has this machine's cores to itself until it has shown something.
FIRST_SECONDS = 2.0
# A node that is slow, silent or away keeps nobody waiting here.
TIMEOUT_SECONDS = 2.0
LOOK_SECONDS = 0.2
SITES = 3  # that the one under way goes to, and the last one has the others

_ACCURACY = {
    "exec": {
        "name": "accuracy",
        "workload": "video",
        "command": ["score", "known-images"],
        "interval": "2s",
        "at_least": 0.85,
    }
}
_SOON = {"min_healthy": "1s", "max_unavailable": 4}
_FAST = {
    **_SOON,
    "waves": [{"nodes": 1}],
    "weights": [100],
    "soak": "2s",
    "analysis": {"conditions": ["restarts", _ACCURACY]},
}
_BY_HAND = {
    **_SOON,
    "waves": [{"nodes": 1}, {"percent": 30}],
    "weights": [25, 100],
    "soak": "10s",
    "gate": "manual",
    "analysis": {
        "conditions": [
            {"error_rate": {"worse_by": "25%", "least": 40}},
            {"p99": {"worse_by": "10%", "least": 40, "dry_run": True}},
            "restarts",
            _ACCURACY,
        ]
    },
}
_BEFORE, _NEW = "edge/gateway:1.9.0-before", "edge/gateway:1.9.0"


def main(fleet: Path) -> None:
    """Until standard input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    time.sleep(FIRST_SECONDS)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from console.cli.rollout_journal import this_journal
    from console.cli.rollout_runner import steer_all
    from console.cli.setup import Setup

    threading.Thread(target=_let_out, args=(fleet,), daemon=True).start()
    steer_all(Setup(fleet_file=fleet), this_journal())


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _let_out(fleet: Path) -> None:
    """One that is done, one that comes back by itself, and one that waits for a person.

    A fleet so small that it has one site has the first two.
    """
    nodes = yaml.safe_load(fleet.read_text("utf-8"))["nodes"]
    labels = [each.get("labels", {}) for each in nodes]
    sites = sorted({each["site"] for each in labels if "simulated" in each})
    last, others = f"site={sites[-1]}", ",".join(sites[:-1][:SITES])
    _apply(fleet, _release(fleet, "before", _BEFORE, {}), "simulated")
    _roll_out(fleet, _release(fleet, "good", _NEW, _FAST), last)
    worse = _release(fleet, "worse", _NEW, _FAST, SIMULATE="worse")
    _roll_out(fleet, worse, last)
    if others:
        _roll_out(fleet, _release(fleet, "next", _NEW, _BY_HAND), f"site in ({others})")


def _release(
    fleet: Path, name: str, image: str, rollout: dict[str, object], **environment: str
) -> Path:
    """Its file, beside the fleet's."""
    service = {
        "image": image,
        "ports": ["8554:8554"],
        "environment": environment,
        "x-roost": {"strategy": "weighted", "soak": "1s"},
    }
    document = {
        "name": "simulated-video",
        "x-roost": {"rollout": rollout},
        "services": {"video": service},
    }
    file = fleet.with_name(f"{name}.yaml")
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return file


def _apply(fleet: Path, file: Path, selector: str) -> None:
    _roost(fleet, "workload", "apply", str(file), "--to", selector, "--yes")


def _roll_out(fleet: Path, file: Path, selector: str) -> None:
    """Until it has ended, or waits for a person."""
    from console.cli.rollout_journal import this_journal
    from console.fleet.links import stated_owner

    if _roost(fleet, "rollout", "plan", str(file), "--to", selector):
        return
    journal = this_journal()
    newest = journal.rollouts()[0].id
    journal.begin(newest, by=stated_owner())
    while journal.load(newest).state in ("running", "reverting"):
        time.sleep(LOOK_SECONDS)


def _roost(fleet: Path, *arguments: str) -> int:
    """Its exit code; what it says goes where this process's output goes."""
    command = importlib.import_module("console.cli.main").cli
    words = ["--fleet", str(fleet), f"--timeout={TIMEOUT_SECONDS:g}", *arguments]
    try:
        code = command.main(args=words, prog_name="roost", standalone_mode=False)
    except ProblemError as problem:
        importlib.import_module("console.cli.failures").tell(problem)
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
