"""The part of the registry that is about which GPUs containers are on."""

from __future__ import annotations

from console.tui.action import Action, action

PLACE: tuple[Action, ...] = (
    action(
        "placement",
        "o",
        "placement",
        "Its GPUs, who is on them, and moving containers between them (on what)",
        ("fleet", "node", "containers", "gpus", "workloads"),
        "Do",
        footer=42,
    ),
    action(
        "pin.choose",
        "a",
        "pin",
        "Put the container on other GPUs (assign): shows them, then what would happen",
        ("node", "containers", "placement", "workloads"),
        "Do",
        danger="confirm",
        role="operator",
        footer=35,
    ),
    action(
        "pin.move",
        "m",
        "move",
        "Pick the container up; up and down choose its GPU, Enter drops it, Esc puts it back",
        ("placement",),
        "Do",
        danger="confirm",
        role="operator",
        footer=30,
    ),
    action(
        "pin.undo",
        "u",
        "undo",
        "Undo the workload's newest deployment, or the last pin: what ran before runs again",
        ("placement", "workloads"),
        "Do",
        danger="confirm",
        role="operator",
        footer=32,
    ),
    action(
        "workloads.read",
        "r",
        "read again",
        "Ask the nodes which workloads they have",
        ("placement", "workloads"),
        "Do",
        footer=40,
    ),
)
