"""The part of the registry that is about TensorRT engines."""

from __future__ import annotations

from console.tui.action import Action, action, sort

ENGINES: tuple[Action, ...] = (
    action(
        "engines",
        "n",
        "engines",
        "Its TensorRT engines: which it has, and which are in use",
        ("fleet", "node"),
        "Do",
        footer=35,
    ),
    action(
        "engine.build",
        "a",
        "again",
        "Build the engine again from its recipe, or all that are marked; the old one stays",
        ("engines", "engine"),
        "Do",
        danger="confirm",
        role="operator",
        footer=30,
    ),
    action(
        "engine.watch",
        "b",
        "build",
        "The newest build of this model: phases, how long it will take, its log",
        ("engines", "engine"),
        "Do",
        footer=31,
    ),
    action(
        "engines.read",
        "r",
        "read again",
        "Ask the nodes which engines they have",
        ("engines", "engine"),
        "Do",
        footer=36,
    ),
    sort("latency", "L", "latency", "engines", "engine"),
    sort("model", "M", "model", "engines"),
    sort("kept", "K", "how many engines are kept", "engines"),
    sort("took", "U", "how long its build took", "engine"),
)
