"""The part of the registry that is about snapshots."""

from __future__ import annotations

from console.tui.action import Action, action, change, sort

SNAPSHOTS: tuple[Action, ...] = (
    action(
        "snapshot.take",
        "t",
        "take",
        "Write how a node is into a new file of this folder; nothing changes on the node",
        ("snapshots",),
        "Do",
        footer=30,
    ),
    action(
        "snapshot.diff",
        "d",
        "diff",
        "What changed on a node since this snapshot, as a tree",
        ("snapshots",),
        "Do",
        footer=31,
    ),
    change(
        "snapshot.restore",
        "o",
        "restore",
        "Bring a node back to this snapshot: its plan is shown first",
        ("snapshots",),
        footer=32,
    ),
    action(
        "snapshot.read",
        "R",
        "read again",
        "Read the folder again",
        ("snapshots",),
        "View",
    ),
    action(
        "snapshot.fold",
        "f",
        "fold all",
        "Fold all parts of the tree; again: unfold them",
        ("changes",),
        "View",
        footer=20,
    ),
    sort("file", "N", "file", "snapshots"),
    sort("taken", "A", "when it was taken", "snapshots"),
    sort("of", "O", "the node that it is of", "snapshots"),
    sort("bytes", "Z", "size", "snapshots"),
    sort("change", "N", "what changed; the tree has no other order than its own", "changes"),
)
