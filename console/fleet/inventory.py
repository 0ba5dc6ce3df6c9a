"""The fleet as fleet.yaml lists it."""

from __future__ import annotations

import msgspec


class NodeEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One node of fleet.yaml.

    `address` is `unix:///path`, `ssh://[user@]host[:port]` or `https://host[:port]`.
    """

    name: str
    address: str
    labels: dict[str, str] = {}
    production: bool = False  # framed in the TUI; destructive actions ask for more
    fingerprint: str | None = None  # https: "sha256:<64 hex>" of the pinned certificate
    token_file: str | None = None  # https: where the bearer token is kept
    vars: dict[str, str] = {}  # of workload files


class Inventory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of fleet.yaml."""

    nodes: list[NodeEntry] = []
    vars: dict[str, dict[str, str]] = {}  # of workload files, by selector; see variables.py
