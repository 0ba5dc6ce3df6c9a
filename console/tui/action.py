"""What an action is: something that a key does, on which screens, and how dangerous it is."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.access import Role

Danger = Literal["none", "confirm", "type-name"]
# Where an action is offered: a screen's name, or all tables, or everywhere.
Scope = Literal[
    "everywhere",
    "table",
    "fleet",
    "node",
    "containers",
    "gpus",
    "doctor",
    "jobs",
    "job",
    "images",
    "image",
    "push",
    "compat",
    "drivers",
    "drift",
    "placement",
    "workloads",
    "engines",
    "engine",
    "bench",
    "rollouts",
    "rollout",
    "history",
    "snapshots",
    "changes",
    "page",
    "logs",
]
Group = Literal["Move", "Go", "Rows", "Do", "Logs", "View"]
GROUPS: tuple[Group, ...] = ("Go", "Rows", "Do", "Logs", "View", "Move")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a key does.

    `danger`: "confirm" asks first, with Cancel focused; "type-name" also wants the name typed.
    "confirm" rises to "type-name" by itself on production or on more than one thing.
    `footer`: its place in the footer, smallest first; None keeps it out.
    """

    id: str
    key: str
    label: str
    help: str
    scopes: tuple[Scope, ...]
    group: Group
    danger: Danger = "none"
    role: Role = "viewer"
    footer: int | None = None


def action(
    action_id: str,
    key: str,
    label: str,
    words: str,
    scopes: tuple[Scope, ...],
    group: Group,
    *,
    danger: Danger = "none",
    role: Role = "viewer",
    footer: int | None = None,
) -> Action:
    """An action; its arguments are the fields."""
    return Action(
        id=action_id,
        key=key,
        label=label,
        help=words,
        scopes=scopes,
        group=group,
        danger=danger,
        role=role,
        footer=footer,
    )


def change(
    action_id: str,
    key: str,
    label: str,
    words: str,
    scopes: tuple[Scope, ...],
    *,
    footer: int | None = None,
) -> Action:
    """Something that an operator does to nodes, and that asks first."""
    return action(
        action_id,
        key,
        label,
        words,
        scopes,
        "Do",
        danger="confirm",
        role="operator",
        footer=footer,
    )


def sort(column: str, key: str, words: str, *scopes: Scope) -> Action:
    """Sorting a table by one of its columns."""
    return Action(
        id=f"sort.{column}",
        key=key,
        label="sort",
        help=f"Sort by {words}; again: the other way round",
        scopes=scopes,
        group="Rows",
    )


def move(way: str, key: str, words: str, *scopes: Scope) -> Action:
    """A way to move in a table, a page or a log."""
    return Action(id=f"move.{way}", key=key, label=way, help=words, scopes=scopes, group="Move")
