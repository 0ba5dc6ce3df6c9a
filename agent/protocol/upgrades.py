"""Upgrades of the agent: `/v1/agent/upgrade`.

`POST` with a kit that was uploaded as a blob begins a job. The kit's agent is unpacked beside the
one that runs, and started on trial; whoever asked talks to it and confirms it. Then it starts its
jobs and the rest. Until all of that runs it goes back by itself, and refuses all other changes
(`upgrade.on_trial`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.digest import Digest

JOB_KIND = "agent.upgrade"
WITHIN_SECONDS = 60.0


class UpgradeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The kit is a file for the node's architecture, as `roost agent kit make` writes it."""

    kit: Digest | None = None  # of the file, a blob on the node; None: it is unpacked there
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]  # as its kit.json has it
    # The new agent goes back unless it is confirmed so soon after each of its starts.
    within_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = WITHIN_SECONDS
    # How long jobs under way are waited for. Those that can go on under the new agent do then;
    # for another one it is not upgraded.
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class LastUpgrade(msgspec.Struct, kw_only=True):
    """How the last one ended."""

    id: str  # of the kit that was tried
    outcome: Literal["done", "returned"]
    at: float  # Unix seconds, by the node's clock
    was: str | None = None  # the kit that ran before
    before: str | None = None  # it returned: the one that ran before `was`
    version: str | None = None
    job: str | None = None
    why: str | None = None  # it returned


class AgentUpgrade(msgspec.Struct, kw_only=True):
    """Which kit runs, and what became of the last upgrade."""

    kit: str  # its id: the version, and what is in it
    on_trial: bool = False  # until it is confirmed, and all of it has started
    confirmed: bool = False  # on trial: it is wanted, and is still to start all that it does
    job: str | None = None  # on trial: the job that began it
    last: LastUpgrade | None = None
    # Only a kit that a trusted key has signed is taken: policy.require_signature in agent.yaml.
    require_signature: bool = False
    # CPythons there that a kit may be for: "3.11"; empty: it is not told.
    pythons: list[str] = []


class ConfirmRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/agent/upgrade/confirm`: this is the agent that answers; keep it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class GiveUpRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/agent/upgrade/revert`: the agent on trial shall go back at once."""

    why: Annotated[str, msgspec.Meta(max_length=500)] = ""
