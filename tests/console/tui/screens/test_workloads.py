"""What Roost placed: the table, how it came there, and undo."""

from __future__ import annotations

import pytest

from agent.protocol.problems import Problem, ProblemError
from console.tui.app import RoostApp
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_workloads import FakeWorkloads
from tests.console.tui.fakes import A10, GIB, make_node
from tests.console.tui.showing import fleet_of, settled, table_of

pytestmark = pytest.mark.timeout(60)

AWAY = ProblemError("link.unreachable", "d: no route to host", hint="Is it on?")


def workloads_app(make_app: MakeApp, *, read_only: bool = False) -> RoostApp:
    """a has two workloads, gate one that is gone; d is offline."""
    nodes = [
        make_node("a", A10, 2),
        make_node("d", A10, state="offline", seen_ago=7200, problem=AWAY),
        make_node("gate", A10, production=True),
    ]
    app = make_app(nodes, first="workloads", read_only=read_only)
    workloads_of(app).put("detector", memory_bytes=6 * GIB)
    workloads_of(app).put(
        "tracker", deployment_state="stuck", can_undo=False, drift=["it runs another image"]
    )
    workloads_of(app, "gate").put("web", gpus=[], release="web:3")
    return app


def workloads_of(app: RoostApp, node: str = "a") -> FakeWorkloads:
    return fleet_of(app).clients[node].workloads


async def test_rows_say_where_it_is_and_how_it_came_there(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
        lines = [" ".join(line.split()) for line in text.splitlines()][3:7]
        assert lines == [
            ">a detector running 0 done yes none 6.0G pin detector",
            "a tracker running 0 stuck no it runs another image none pin tracker",
            "d -- offline -- -- -- no route to host -- -- 2h",
            "gate PROD web missing none done yes none none web:3",
        ]
        assert "1 did not answer" in text
        assert "read 0s ago" in text
        # What the picture says is newer than what the node said when it was asked.
        record = next(iter(fleet_of(app).nodes["a"].sections["containers"].values()))
        record.update(state="exited", exit_code=1)
        fleet_of(app).changed.add("a")
        app.tick()
        assert "exited 1" in (await settled(pilot)).splitlines()[3]


async def test_what_it_uses_over_its_ceiling_and_what_nobody_can_tell(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    detector, tracker = workloads_of(app).placed
    detector.over_ceiling, detector.by_itself = {detector.gpus[0]: 7 * GIB}, "it is restarted"
    tracker.drift, tracker.drift_unknown = [], "the runtime does not answer"
    async with app.run_test(size=(200, 50)) as pilot:
        lines = (await settled(pilot)).splitlines()
        assert "7.0G on GPU 0, over its 6.0G" in lines[3]
        assert "unknown: the runtime does not answer" in lines[4]
        await pilot.press("enter")
        text = await settled(pilot)
        assert "differs   7.0G on GPU 0, over its 6.0G" in text
        assert "by itself it is restarted" in text
        await pilot.press("escape", "down", "enter")
        text = await settled(pilot)
        assert "differs   nobody can tell: the runtime does not answer" in text


async def test_what_needs_a_person_can_be_sorted_first(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for key in ("D", "F"):
            await pilot.press("N", key)
            await settled(pilot)
            assert table_of(app).model.shown[0].key == "a/tracker"


async def test_enter_shows_its_history_and_how_the_gpu_was_checked(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    workloads = workloads_of(app)
    stuck = workloads.deployments["d-tracker"]
    stuck.state = "stuck"
    stuck.problem = Problem(
        code="deploy.stuck", title="Stuck", status=500, detail="it does not stay up", hint="Look."
    )
    stuck.workloads[0].gpu_checked, stuck.workloads[0].gpu_check = "could_not_tell", "no shell"
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert "checked   nvidia-smi inside it lists GPU-a-0" in text
        assert "2026-05-04 11:08:20  done, by roost, it stayed well" in text
        assert "undo      container 000000000000, which is kept, runs again as it was" in text
        assert text.index("done, by roost") < text.index("preparing, by maria@depot")
        await pilot.press("escape", "down", "enter")
        text = await settled(pilot)
        assert "problem   it does not stay up (deploy.stuck)" in text
        assert "do        Look." in text
        assert "checked   could not be told from inside: no shell" in text
        assert "differs   it runs another image" in text
        await pilot.press("escape", "down", "enter")
        text = await settled(pilot)
        assert "no route to host" in text
        assert "Is it on?" in text
        await pilot.press("escape", "down", "enter")
        assert "checked   it has no GPU" in await settled(pilot)


async def test_an_undo_says_what_comes_back_and_asks_first(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    workloads = workloads_of(app)
    containers = fleet_of(app).nodes["a"].sections["containers"]
    kept = list(containers.values())[2]
    kept.update(name="detector.kept-1a2b", state="exited", gpus=["1"])
    workloads.deployments["d-detector"].workloads[0].old = kept["id"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        text = await settled(pilot)
        assert "Undo detector on a?" in text
        assert "undoes  pin detector, done since 2026-05-04 11:08:20" in text
        assert "now     running, GPUs 0" in text
        assert "then    the container before, kept as detector.kept-1a2b, GPUs 1" in text
        assert "1. stop the new container" in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        await settled(pilot)
        assert workloads.undone == []
        await pilot.press("u")
        await settled(pilot)
        await pilot.press("tab", "enter")
        assert "workload.revert of pin detector" in await settled(pilot)
    assert workloads.undone == ["detector"]


async def test_others_of_the_deployment_go_back_too_and_that_is_said(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    deployment = workloads_of(app).deployments["d-detector"]
    deployment.workloads += workloads_of(app).deployments["d-tracker"].workloads
    deployment.workloads[0].old = None
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        text = await settled(pilot)
        assert "note: goes back too: tracker" in text
        assert "then    nothing: there was no such container before" in text
        assert "2. remove it: there was none before" in text


async def test_an_undo_on_production_has_to_be_typed(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("end", "u")
        text = await settled(pilot)
        assert "PRODUCTION: gate" in text
        assert "Type web to go on:" in text
        await pilot.press(*"web", "enter")
        await settled(pilot)
    assert workloads_of(app, "gate").undone == ["web"]


async def test_what_cannot_be_undone_says_why(make_app: MakeApp) -> None:
    app = workloads_app(make_app)
    placed = workloads_of(app).placed
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "u")
        said = "The deployment of tracker is stuck: there is nothing to undo."
        assert said in await settled(pilot)
        placed[1].deployment_state = "done"
        await pilot.press("u")
        assert "Nothing is kept of tracker that could come back." in await settled(pilot)
        del placed[1]
        await pilot.press("u")
        assert "tracker was not placed by Roost (any more)" in await settled(pilot)
        fleet_of(app).clients["a"].fails = AWAY
        await pilot.press("home", "u")
        assert "no route to host" in await settled(pilot)
    assert workloads_of(app).undone == []


async def test_read_only_shows_and_changes_nothing(make_app: MakeApp) -> None:
    app = workloads_app(make_app, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "u undo" not in text
        for key, label in (("u", "undo"), ("a", "pin")):
            await pilot.press(key)
            assert f"This console is read-only: no {label} here." in await settled(pilot)


async def test_nodes_that_have_none(make_app: MakeApp) -> None:
    app = make_app([make_node("a")], first="workloads")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no workloads" in await settled(pilot)
