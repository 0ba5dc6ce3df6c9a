"""What a rollout that upgrades agents asks nodes, and what it makes of their answers."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from agent.protocol.jobs import Job
from agent.protocol.node import AgentInfo
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import TrustedKey
from agent.protocol.upgrades import AgentUpgrade, LastUpgrade, UpgradeRequest
from console.link.client import NodeClient
from console.rollouts.agent_work import NO_WORKLOADS, check_kit, kit_of
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.node_work import ask_node
from console.rollouts.preparing import Preparer
from console.rollouts.record import KitFile
from tests.console.rollouts.fleet_double import FleetDouble
from tests.console.rollouts.test_steering import CALM

OLD, NEW = "1.0-aaaaaaaa", "2.0-bbbbbbbb"
KIT = KitFile(path="kit", arch="x86_64", id=NEW, version="2.0", size_bytes=1, sha256="0" * 64)


TOLD = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("kit", "keys", "code"),
    [
        ({}, {}, "signature.missing"),
        ({"signed_by": TOLD}, {}, "signature.unknown_key"),
        ({"signed_by": TOLD}, {"state": "revoked"}, "signature.revoked"),
        ({"signed_by": TOLD}, {"state": "trusted"}, None),
        ({"signed_by": TOLD, "pythons": ["3.12"]}, {"state": "trusted"}, "kit.python"),
        ({"signed_by": TOLD, "pythons": ["3.11", "3.12"]}, {"state": "trusted"}, None),
    ],
)
def test_what_a_node_would_refuse_is_seen_when_it_is_planned(
    kit: dict[str, Any], keys: dict[str, Any], code: str | None
) -> None:
    there = AgentUpgrade(kit=OLD, require_signature=True, pythons=["3.10", "3.11"])
    known = [TrustedKey(fingerprint=TOLD, name="maria", file="f", **keys)] if keys else []
    given = msgspec.structs.replace(KIT, **kit)
    if code is None:
        check_kit(given, there, known)
        return
    with pytest.raises(ProblemError) as refused:
        check_kit(given, there, known)
    assert refused.value.code == code
    assert refused.value.hint


def test_a_node_that_does_not_say_what_it_wants_is_not_judged() -> None:
    check_kit(KIT, AgentUpgrade(kit=OLD), [])


class _Host:
    architecture = "amd64"


class _Facts:
    def __init__(self, upgrade: AgentUpgrade | None) -> None:
        self.host = _Host()
        self.agent = AgentInfo(
            version="1", api_version="1.0", boot="b", started_at=0.0, upgrade=upgrade
        )


class Node:
    """One node's answers; what it was told is in `told`."""

    def __init__(self, upgrade: AgentUpgrade | None, **job: Any) -> None:
        self.now, self.told = upgrade, list[str]()
        self.fails: str | None = None
        self.starts_jobs = False
        self.job_ = Job(
            **{"id": "j1", "kind": "agent.upgrade", "subject": NEW, "state": "running"} | job,
            owner="maria",
            created_at=0.0,
        )
        self.upgrades = self

    async def node(self) -> _Facts:
        return _Facts(self.now)

    async def begin(self, request: UpgradeRequest, key: str) -> Job:
        if self.fails is not None:
            raise ProblemError(self.fails, f"{self.fails}!")
        self.told.append(f"begin {request.id} {'kept' if request.kit is None else 'sent'} {key}")
        return self.job_

    async def confirm(self, kit: str) -> AgentUpgrade:
        self.told.append(f"confirm {kit}")
        return AgentUpgrade(kit=kit, on_trial=self.starts_jobs, confirmed=self.starts_jobs)

    async def revert(self, why: str) -> None:
        self.told.append(f"revert: {why}")

    async def job(self, name: str) -> Job:
        self.told.append(f"job {name}")
        return self.job_

    async def cancel_job(self, name: str) -> None:
        self.told.append(f"cancel {name}")


def last(**given: Any) -> LastUpgrade:
    fields: dict[str, Any] = {"id": NEW, "was": OLD, "job": "j1", "at": 0.0, "outcome": "done"}
    return LastUpgrade(**fields | given)


async def ask(
    node: Node, what: Ask, *, deployment: str | None = "j1", tried: bool = False
) -> tuple[Seen, list[str]]:
    fleet = FleetDouble([1], CALM)
    fleet.rollout.kits = [KIT]
    record = fleet.rollout.nodes[0]
    record.deployment, record.tried = deployment, tried
    seen = await ask_node(
        cast("NodeClient", node),
        fleet.rollout,
        record,
        Want(record.name, what),
        NO_WORKLOADS,
        Preparer("r1"),
    )
    return seen, node.told


BEGUN = f"begin {NEW} sent r1.1-n0-0-agent"
BACK = f"begin {OLD} kept r1.1-n0-0-agent-back"


async def test_it_begins_once_and_finds_what_was_begun() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=OLD)), "apply", deployment=None)
    assert (seen.what, seen.deployment, told) == ("begun", "j1", [BEGUN])
    on_trial = AgentUpgrade(kit=NEW, on_trial=True, job="j7")
    seen, told = await ask(Node(on_trial), "apply", deployment=None)
    assert (seen.what, seen.deployment, told) == ("begun", "j7", [])
    through = AgentUpgrade(kit=NEW, last=last(job="j7"))
    seen, told = await ask(Node(through), "apply", deployment=None, tried=True)
    assert (seen.what, seen.deployment, told) == ("begun", "j7", [])


async def test_what_runs_it_already_is_left_alone() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW)), "apply", deployment=None)
    assert (seen.what, told) == ("unchanged", [])


@pytest.mark.parametrize(
    ("code", "what", "tried"),
    [
        ("link.unreachable", "unreached", True),
        ("store.failed", "not_yet", True),
        ("upgrade.on_trial", "not_yet", True),
        ("job.queue_full", "not_yet", False),
        ("auth.role", "unreached", False),
        ("upgrade.no_kit", "refused", False),
    ],
)
async def test_an_order_that_fails_may_have_arrived(code: str, what: str, tried: bool) -> None:
    node = Node(AgentUpgrade(kit=OLD))
    node.fails = code
    seen, _ = await ask(node, "apply", deployment=None)
    assert (seen.what, seen.tried) == (what, tried)


@pytest.mark.parametrize("what", ["look", "renew"])
async def test_the_agent_on_trial_is_confirmed_as_soon_as_it_answers(what: Ask) -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, on_trial=True, job="j1")), what)
    assert (seen.state, told) == ("canary", [f"confirm {NEW}"])
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, last=last())), what)
    assert (seen.state, told) == ("canary", [])


@pytest.mark.parametrize("what", ["look", "renew", "confirm"])
async def test_what_is_confirmed_and_not_up_is_waited_for(what: Ask) -> None:
    node = Node(AgentUpgrade(kit=NEW, on_trial=True, job="j1"))
    node.starts_jobs = True
    seen, told = await ask(node, what)
    assert (seen.what, told) == ("not_yet", [f"confirm {NEW}"])
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, on_trial=True, confirmed=True)), what)
    assert (seen.what, told) == ("not_yet", [])


async def test_a_wave_that_is_through_is_done() -> None:
    seen, _ = await ask(Node(AgentUpgrade(kit=NEW, last=last())), "confirm")
    assert seen.state == "done"


async def test_a_job_that_is_under_way_is_waited_for() -> None:
    seen, _ = await ask(Node(AgentUpgrade(kit=OLD), stage="unpacking"), "look")
    assert (seen.what, seen.why) == ("not_yet", "unpacking")


async def test_what_went_back_or_failed_says_why() -> None:
    returned = last(outcome="returned", why="it ended 3 times")
    seen, _ = await ask(Node(AgentUpgrade(kit=OLD, last=returned)), "look")
    assert (seen.state, seen.why) == ("reverted", "it ended 3 times")
    problem = ProblemError("kit.broken", "not whole").problem()
    seen, _ = await ask(Node(AgentUpgrade(kit=OLD), state="failed", problem=problem), "look")
    assert (seen.state, seen.why) == ("reverted", "not whole")
    seen, _ = await ask(Node(AgentUpgrade(kit="3.0-c", last=last())), "renew")
    assert (seen.state, seen.why) == (
        "reverted",
        "agent 3.0-c runs there, by somebody else's doing",
    )


async def test_back_from_a_trial_is_the_end_of_the_trial() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, on_trial=True, job="j1")), "revert")
    assert (seen.what, told) == ("not_yet", ["revert: rollout r1 goes back"])


async def test_back_from_what_is_kept_is_an_upgrade_to_what_was() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, last=last())), "revert")
    assert (seen.what, told) == ("not_yet", [BACK])
    old_on_trial = AgentUpgrade(kit=OLD, on_trial=True, job="j2", last=last())
    seen, told = await ask(Node(old_on_trial), "revert")
    assert (seen.what, told) == ("not_yet", [f"confirm {OLD}"])
    seen, told = await ask(Node(AgentUpgrade(kit=OLD), state="succeeded"), "revert")
    assert (seen.state, told) == ("reverted", ["job j1"])


@pytest.mark.parametrize(
    "others",
    [
        AgentUpgrade(kit="3.0-c", on_trial=True, job="j9", last=last()),
        AgentUpgrade(kit=OLD, on_trial=True, job="j9"),
        AgentUpgrade(kit=OLD, on_trial=True, job="j9", last=last(id="3.0-c")),
    ],
)
async def test_going_back_confirms_nobody_elses_trial(others: AgentUpgrade) -> None:
    seen, told = await ask(Node(others), "revert")
    assert (seen.what, told) == ("not_yet", [])


async def test_it_does_not_go_back_to_what_ran_before_another_kit() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, last=last(id="3.0-c", was=OLD))), "revert")
    assert (seen.state, told) == ("stuck", [])
    assert f"what it ran before {NEW} is not known" in seen.why


async def test_one_that_was_tried_since_and_went_back_changes_nothing() -> None:
    tried = last(id="3.0-c", was=NEW, before=OLD, job="j2", outcome="returned", why="it fails")
    seen, told = await ask(Node(AgentUpgrade(kit=NEW, last=tried)), "revert")
    assert (seen.what, told) == ("not_yet", [BACK])
    back = AgentUpgrade(kit=OLD, on_trial=True, job="j3", last=tried)
    seen, told = await ask(Node(back), "revert")
    assert (seen.what, told) == ("not_yet", [f"confirm {OLD}"])
    other = AgentUpgrade(kit="0.9-d", on_trial=True, job="j3", last=tried)
    seen, told = await ask(Node(other), "revert")
    assert (seen.what, told) == ("not_yet", [])


async def test_before_it_was_tried_its_job_is_cancelled() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=OLD)), "revert")
    assert (seen.what, told) == ("not_yet", ["job j1", "cancel j1"])


async def test_what_cannot_go_back_wants_a_person() -> None:
    failed = Node(AgentUpgrade(kit=NEW, last=last()), state="failed", reason="no such version")
    seen, _ = await ask(failed, "revert")
    assert (seen.state, seen.why) == ("stuck", f"it cannot go back to {OLD}: no such version")
    tried = last(id=OLD, was=NEW, job="j2", outcome="returned", why="newer database")
    for before in (None, OLD):
        tried.before = before
        seen, _ = await ask(Node(AgentUpgrade(kit=NEW, last=tried)), "revert")
        assert (seen.state, seen.why) == ("stuck", f"it cannot go back to {OLD}: newer database")


async def test_nothing_was_begun_where_it_ran_that_before() -> None:
    seen, told = await ask(Node(AgentUpgrade(kit=NEW)), "revert", deployment=None)
    assert (seen.what, told) == ("nothing", [])


def test_a_node_without_a_fitting_kit_is_told_so() -> None:
    for facts, kits, code in (
        (_Facts(None), {"x86_64": KIT}, "upgrade.no_kit"),
        (_Facts(AgentUpgrade(kit=OLD)), {"aarch64": KIT}, "kit.none"),
    ):
        with pytest.raises(ProblemError) as refused:
            kit_of(kits, cast("Any", facts))
        assert refused.value.code == code
        assert refused.value.hint
