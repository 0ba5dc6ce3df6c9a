"""The part of the registry that is about which GPUs containers are on."""

from __future__ import annotations

from console.tui.action import Action, action, change

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
        "workloads",
        "w",
        "workloads",
        "What Roost placed there: releases, deployments, undo",
        ("fleet", "node", "containers", "placement"),
        "Do",
        footer=43,
    ),
    change(
        "pin.choose",
        "a",
        "pin",
        "Put the container on other GPUs (assign): shows them, then what would happen",
        ("node", "containers", "placement", "workloads"),
        footer=35,
    ),
    change(
        "pin.move",
        "m",
        "move",
        "Pick the container up; up and down choose its GPU, Enter drops it, Esc puts it back",
        ("placement",),
        footer=30,
    ),
    change(
        "pin.undo",
        "u",
        "undo",
        "Undo the workload's newest deployment, or the last pin: what ran before runs again",
        ("placement", "workloads"),
        footer=32,
    ),
    change(
        "workload.confirm",
        "y",
        "confirm",
        "Say (yes) that the workload's newest deployment may stay",
        ("workloads",),
        footer=33,
    ),
    change(
        "workload.resolve",
        "v",
        "resolve",
        "The ways out where the workload's deployment is stuck, and why it is",
        ("workloads",),
        footer=34,
    ),
    change(
        "workload.restart",
        "ctrl+r",
        "restart",
        "Restart the workload, or all that are marked, and see whether it stays well",
        ("workloads",),
        footer=36,
    ),
    change(
        "workload.remove",
        "x",
        "remove",
        "Stop and remove the workload, or all that are marked; its volumes stay",
        ("workloads",),
        footer=37,
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
