"""The bodies of what a rollout has nodes replay, in the journal's file: written once.

They may be large, and the record is written again with all that happens.
"""

from __future__ import annotations

import sqlite3

import msgspec

from agent.protocol.measures import Replay
from console.rollouts.record import Rollout


def keep_bodies(connection: sqlite3.Connection, rollout: Rollout) -> Rollout:
    """Write down those that are not there yet; the rollout without them, for its record."""
    replays = rollout.strategy.analysis.replays
    bodies = [(rollout.id, name, each.body) for name, each in replays.items() if each.body]
    if not bodies:
        return rollout
    connection.executemany(
        "INSERT OR IGNORE INTO replays (rollout, workload, body) VALUES (?, ?, ?)", bodies
    )
    return _with(rollout, dict.fromkeys(replays, b""))


def with_bodies(connection: sqlite3.Connection, rollout: Rollout) -> Rollout:
    """The same with all of them, as nodes are to get it."""
    rows = connection.execute(
        "SELECT workload, body FROM replays WHERE rollout = ?", (rollout.id,)
    ).fetchall()
    return _with(rollout, {row[0]: row[1] for row in rows}) if rows else rollout


def _with(rollout: Rollout, bodies: dict[str, bytes]) -> Rollout:
    analysis = rollout.strategy.analysis
    replays: dict[str, Replay] = {
        name: msgspec.structs.replace(each, body=bodies.get(name, each.body))
        for name, each in analysis.replays.items()
    }
    strategy = msgspec.structs.replace(
        rollout.strategy, analysis=msgspec.structs.replace(analysis, replays=replays)
    )
    return msgspec.structs.replace(rollout, strategy=strategy)
