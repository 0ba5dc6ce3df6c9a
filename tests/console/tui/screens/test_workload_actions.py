"""Restart, removal, confirmation and ways out of `stuck` from the Workloads screen."""

from __future__ import annotations

import msgspec
import pytest
from textual.pilot import Pilot

from agent.protocol.deployments import DeploymentState, DeployOptions, StateChange
from agent.protocol.problems import Problem, ProblemError
from console.tui.app import RoostApp
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_workloads import FakeWorkloads
from tests.console.tui.fakes import A10, NOW, make_node, put_job
from tests.console.tui.showing import fleet_of, settled

pytestmark = pytest.mark.timeout(60)

AWAY = ProblemError("link.unreachable", "a: no route to host", hint="Is it on?")
STUCK = Problem(
    code="deploy.stuck",
    title="Stuck",
    status=500,
    detail="detector: the old container is not as it was: it does not stay up",
    hint="Look at its log.",
)
SIZES = [(80, 24), (200, 50)]


def placed_app(make_app: MakeApp, *, production: bool = False, read_only: bool = False) -> RoostApp:
    """detector and tracker on a."""
    nodes = [make_node("a", A10, 2, production=production)]
    app = make_app(nodes, first="workloads", read_only=read_only)
    for name in ("detector", "tracker"):
        workloads_of(app).put(name)
    return app


def workloads_of(app: RoostApp) -> FakeWorkloads:
    return fleet_of(app).clients["a"].workloads


def becomes(app: RoostApp, state: DeploymentState, why: str = "") -> None:
    """detector's newest deployment is in that state."""
    workloads = workloads_of(app)
    workloads.placed[0].deployment_state = state
    workloads.placed[0].can_undo = state == "done"
    deployment = workloads.deployments["d-detector"]
    deployment.state, deployment.confirmed = state, state == "done"
    put_job(fleet_of(app).nodes["a"], "deploy1", kind="workload.deploy", subject="detector")
    deployment.job = "deploy1"
    deployment.history.append(StateChange(state=state, at=NOW - 60, by="roost", why=why))
    if state == "stuck":
        deployment.problem = STUCK


async def press(pilot: Pilot[int], *keys: str) -> str:
    await settled(pilot)
    await pilot.press(*keys)
    return await settled(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_restart_says_what_happens_and_shows_its_job(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = placed_app(make_app)
    async with app.run_test(size=size) as pilot:
        text = await press(pilot, "ctrl+r")
        assert "Restart detector on a?" in text
        assert "now     running, GPUs 0" in text
        assert "1. stop its container, and start the same one again" in text
        assert "nothing goes back by itself" in text
        assert ">[ Cancel ]" in text
        await press(pilot, "enter")
        assert workloads_of(app).restarted == []
        await press(pilot, "ctrl+r")
        assert "workload.restart of detector" in await press(pilot, "tab", "enter")
    assert workloads_of(app).restarted == ["detector"]


async def test_a_removal_says_what_stays_and_what_is_lost(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "x")
        assert "Remove detector on a?" in text
        assert "stop and remove its container; what was written inside it is lost" in text
        assert "remove the one before, which is kept: no undo any more" in text
        assert "its volumes, its image and its secrets stay" in text
        await press(pilot, "tab", "enter")
        await press(pilot, "escape", "down")
        workloads_of(app).placed[1].can_undo = False
        text = await press(pilot, "x")
        assert "Remove tracker on a?" in text
        assert "which is kept" not in text
    assert workloads_of(app).removed == ["detector"]


async def test_several_have_to_be_typed(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "asterisk", "x")
        assert "Remove 2 workloads on 1 node?" in text
        assert "Type remove 2 to go on:" in text
        await pilot.press(*"remove", "space", "2", "enter")
        assert "remove: all 2 have begun" in await settled(pilot)
    assert sorted(workloads_of(app).removed) == ["detector", "tracker"]


async def test_on_production_its_name_has_to_be_typed(make_app: MakeApp) -> None:
    app = placed_app(make_app, production=True)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Type detector to go on:" in await press(pilot, "ctrl+r")
        await press(pilot, *"detector", "enter")
    assert workloads_of(app).restarted == ["detector"]


@pytest.mark.parametrize(
    ("state", "way"), [("canary", "wait for it, or undo it"), ("stuck", "resolve it")]
)
async def test_what_would_be_refused_is_said_before(
    make_app: MakeApp, state: DeploymentState, way: str
) -> None:
    app = placed_app(make_app)
    becomes(app, state)
    async with app.run_test(size=(80, 24)) as pilot:
        said = f"The deployment of detector is {state}: {way} first."
        assert said in await press(pilot, "x")
        assert f"a: {said}" in await press(pilot, "asterisk", "ctrl+r")
    assert workloads_of(app).removed == workloads_of(app).restarted == []


async def test_what_is_gone_or_does_not_answer(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        del workloads_of(app).placed[1]
        for key in ("x", "ctrl+r", "y", "v", "enter"):
            app.context.placed.said["a"].append(workloads_of(app).put("tracker"))
            workloads_of(app).placed.pop()
            app.context.placed.version += 1
            app.tick()
            text = await press(pilot, "end", key)
            assert "tracker was not placed by Roost (any more)." in text
        fleet_of(app).clients["a"].fails = AWAY
        for key in ("x", "y", "v", "enter"):
            assert "no route to host" in await press(pilot, "home", key)
            await press(pilot, "escape")


async def test_a_word_that_it_may_stay(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    becomes(app, "canary")
    deployment = workloads_of(app).deployments["d-detector"]
    deployment.options = DeployOptions(confirm="manual")
    deployment.lease_seconds_left = 300
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "y")
        assert "Confirm detector on a?" in text
        assert "stays   pin detector, canary since 2026-05-04 13:05:40" in text
        assert "else    it goes back by itself in 5m" in text
        assert "the container before is kept for an undo" in text
        await press(pilot, "tab", "enter")
        assert workloads_of(app).confirmed == ["detector"]
        assert "job a/deploy1" in await settled(pilot)
        text = await press(pilot, "escape", "y")
        assert "is confirmed: it is done once it stayed well." in text
    assert workloads_of(app).confirmed == ["detector"]


async def test_a_word_that_came_too_late_says_what_became_of_it(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    becomes(app, "canary")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "y")
        becomes(app, "reverted", "nobody confirmed it within 900 s")
        said = "The deployment of detector is reverted: nobody confirmed it within 900 s"
        assert said in await press(pilot, "tab", "enter")
        becomes(app, "done")
        assert "The deployment of detector is done: it stays." in await press(pilot, "y")
        becomes(app, "stuck")
        assert "The deployment of detector is stuck: resolve it." in await press(pilot, "y")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("keep-old", "give the old one its name back, and start it"),
        ("keep-new", "start the new one; nobody looks whether it is well"),
        ("retry", "if any of this fails: go back, as before"),
    ],
)
async def test_the_ways_out_say_why_it_is_stuck_and_what_would_happen(
    make_app: MakeApp, way: str, step: str, size: tuple[int, int]
) -> None:
    app = placed_app(make_app)
    becomes(app, "stuck", STUCK.detail)
    async with app.run_test(size=size) as pilot:
        text = await press(pilot, "v")
        assert "detector on a is stuck: pin detector" in text
        assert "why  detector: the old container is not as it was: it does not stay" in text
        assert "do   Look at its log." in text
        downs = ["down"] * ["keep-old", "keep-new", "retry"].index(way)
        text = await press(pilot, *downs, "enter")
        assert f"Resolve detector by {way} on a?" in text
        assert step in text
        assert "before  the container before, 000000000000" in text
        assert ">[ Cancel ]" in text
        await press(pilot, "enter")
        assert workloads_of(app).resolved == []
        await press(pilot, "v")
        await press(pilot, *downs, "enter")
        assert "workload.revert of detector" in await press(pilot, "tab", "enter")
    assert workloads_of(app).resolved == [("detector", way)]


async def test_one_that_is_first_and_others_of_its_deployment(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    becomes(app, "stuck")
    deployment = workloads_of(app).deployments["d-detector"]
    deployment.workloads = [
        msgspec.structs.replace(deployment.workloads[0], old=None),
        workloads_of(app).deployments["d-tracker"].workloads[0],
    ]
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "v")
        text = await press(pilot, "enter")
        assert "before  nothing: there was no such container before" in text
        assert "2. remove the new container" in text
        assert "note: so is done with: tracker" in text
        await press(pilot, "escape")
        assert "Resolve" not in await press(pilot, "v", "escape")
    assert workloads_of(app).resolved == []


async def test_nothing_is_stuck(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        said = "The deployment of detector is done: nothing is stuck."
        assert said in await press(pilot, "v")


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("done", "Ctrl+R restart  x remove  u undo  b jobs"),
        ("canary", "y confirm  b jobs"),
        ("stuck", "v resolve  b jobs"),
        ("reverting", "c copy  b jobs"),
    ],
)
async def test_its_details_offer_what_its_state_allows(
    make_app: MakeApp, state: DeploymentState, offered: str
) -> None:
    app = placed_app(make_app)
    becomes(app, state, "so it is")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "enter")
        assert f"{state}, by roost, so it is" in text
        assert offered in text
        assert "job       deploy1" in text
        assert "job a/deploy1" in await press(pilot, "b")


@pytest.mark.parametrize(
    ("state", "key", "title"),
    [
        ("done", "u", "Undo detector on a?"),
        ("done", "ctrl+r", "Restart detector on a?"),
        ("done", "x", "Remove detector on a?"),
        ("canary", "y", "Confirm detector on a?"),
        ("stuck", "v", "detector on a is stuck"),
    ],
)
async def test_what_is_done_from_its_details_is_about_it_alone(
    make_app: MakeApp, state: DeploymentState, key: str, title: str
) -> None:
    app = placed_app(make_app)
    becomes(app, state)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "asterisk", "enter")
        assert title in await press(pilot, key)


async def test_a_new_container_that_waits_for_a_word(make_app: MakeApp) -> None:
    """The old one is kept, stopped, and the new one has the name; what is done waits no more."""
    app = placed_app(make_app)
    becomes(app, "canary")
    deployment = workloads_of(app).deployments["d-detector"]
    deployment.release, deployment.options = "pin it", DeployOptions(confirm="manual")
    deployment.lease_seconds_left = 300
    containers = fleet_of(app).nodes["a"].sections["containers"]
    old, _, new = list(containers)[:3]
    containers[old].update(name="detector.kept-1a2b", state="exited")
    containers[new].update(name="detector", state="running")
    workloads_of(app).placed[0].state = "exited"
    deployment.workloads[0].new = new
    async with app.run_test(size=(80, 24)) as pilot:
        assert "detector       running   0    canary" in await settled(pilot)
        text = await press(pilot, "enter")
        assert "state     canary, pin it" in text
        assert f"container exited, {old[:12]}" in text
        assert f"new       running, {new[:12]}" in text
        assert "lease     reverts by itself in 5m unless confirmed" in text
        assert "now     running, GPUs 0" in await press(pilot, "y")
        await pilot.press("escape")
        becomes(app, "done")
        assert "unless confirmed" not in await press(pilot, "enter")


async def test_a_deployment_that_nobody_knows_any_more(make_app: MakeApp) -> None:
    app = placed_app(make_app)
    workloads_of(app).placed[0].deployment = workloads_of(app).placed[0].deployment_state = None
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "enter")
        assert "container running, " in text
        assert "undo      nothing: its newest deployment is not known any more" in text
        assert "No deployment of detector is known." in await press(pilot, "escape", "y")


async def test_read_only_shows_its_details_and_offers_nothing(make_app: MakeApp) -> None:
    app = placed_app(make_app, read_only=True)
    becomes(app, "stuck")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await press(pilot, "enter")
        assert "resolve  " not in text
        assert "b jobs" in text
        await press(pilot, "v")
        assert "This console is read-only: no resolve here." in await press(pilot, "escape", "v")
