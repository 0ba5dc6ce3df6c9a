"""The fleet as fleet.yaml lists it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

# What is not said is UNSET; None (`driver: null`) expects nothing, whatever wider selectors say.
Version = str | None | UnsetType  # ">=535,<560"; see agent.rules.constraints
Words = str | list[str] | None | UnsetType  # one of these
Switch = bool | None | UnsetType


class Expected(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Facts that nodes shall have; drift.py looks whether they do.

    `gpu`, `persistence`, `ecc` and `mig` are of every GPU of the node.
    """

    driver: Version = UNSET
    cuda: Version = UNSET  # the highest that the driver runs
    runtime: Version = UNSET
    runtime_name: Words = UNSET  # "Docker Engine", "Podman"
    image_store: Words = UNSET
    toolkit: Version = UNSET  # NVIDIA Container Toolkit
    agent: Version = UNSET
    os: Words = UNSET  # "ubuntu"
    os_version: Version = UNSET
    kernel: Version = UNSET
    architecture: Words = UNSET  # "amd64", "arm64"
    l4t: Version = UNSET  # Jetson
    timezone: Words = UNSET
    gpus: int | UnsetType | None = UNSET  # how many
    gpu: Words = UNSET  # "Tesla T4"
    persistence: Switch = UNSET
    ecc: Switch = UNSET
    mig: Switch = UNSET


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
    expect: Expected | None = None  # before what selectors say; see expectations.py


class Inventory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of fleet.yaml."""

    nodes: list[NodeEntry] = []
    vars: dict[str, dict[str, str]] = {}  # of workload files, by selector; see variables.py
    expect: dict[str, Expected] = {}  # by selector; see expectations.py
