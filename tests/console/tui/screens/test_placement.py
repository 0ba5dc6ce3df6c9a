"""Containers are picked up, carried over the GPUs of their node, and dropped."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from console.tui.app import RoostApp
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_workloads import FakeWorkloads
from tests.console.tui.fakes import A10, A100, GIB, H200, T4, begun, make_node, uuid_of
from tests.console.tui.rows.test_places import SLICE, containers_of, split
from tests.console.tui.showing import fleet_of, settled, table_of

pytestmark = pytest.mark.timeout(60)

MOVING = "Moving detector: Up and down choose, Enter drops it, Esc puts it back."


def placement_app(make_app: MakeApp, gpus: int = 3, first: str = "placement") -> RoostApp:
    """detector and tracker are on the first GPU of cam; gate has one GPU."""
    nodes = [make_node("cam", A10, gpus), make_node("gate", A10, production=True)]
    return make_app(nodes, first=first)


def workloads_of(app: RoostApp, node: str = "cam") -> FakeWorkloads:
    return fleet_of(app).clients[node].workloads


def below(app: RoostApp) -> list[str]:
    """What stands on the rows of cam."""
    rows = [row for row in table_of(app).model.shown if row.group == "cam"]
    return [row.cells[1].text.strip() for row in rows]


def varied_app(make_app: MakeApp, first: str = "placement") -> RoostApp:
    """Slices, a GPU that is gone, a kept container, old figures, unknown ones, production."""
    nodes = [
        make_node("cam", A10, 3, containers=4),
        make_node("cam-slow", T4, state="stale", seen_ago=190),
        make_node("gate", H200, 2, load=70, production=True),
        make_node("mig", A100, load=55),
        make_node("new", None, state="connecting", seen_ago=None),
    ]
    split(nodes[3])
    nodes[3].sections["gpus"][uuid_of("mig", 0)].update(
        utilization_percent=None, memory_used_bytes=None
    )
    detector, tracker, *_ = containers_of(nodes[3])
    detector["gpus"], tracker["gpus"] = [SLICE], ["GPU-gone-1234"]
    nodes[3].sections["processes"].clear()
    containers_of(nodes[0])[3].update(
        name="detector.kept-1a2b", state="exited", gpus=[uuid_of("cam", 1)]
    )
    app = make_app(nodes, first=first)
    workloads_of(app).put("detector", memory_bytes=6 * GIB)
    workloads_of(app).put("tracker", can_undo=False, drift=["it runs another image"])
    workloads_of(app, "gate").put("tracker", release="vision:7", can_undo=False)
    return app


async def pick_up(pilot: Pilot[int]) -> str:
    """detector, which is below the first GPU."""
    await settled(pilot)
    await pilot.press("down", "m")
    return await settled(pilot)


async def test_picked_up_it_goes_from_gpu_to_gpu_and_back(make_app: MakeApp) -> None:
    app = placement_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await pick_up(pilot)
        assert MOVING in text
        assert below(app) == ["0 A10", "tracker", "detector", "1 A10", "2 A10"]
        await pilot.press("down")
        assert MOVING in await settled(pilot)
        assert below(app) == ["0 A10", "tracker", "1 A10", "detector", "2 A10"]
        row = table_of(app).current
        assert row is not None
        assert row.cells[1].text.strip() == "detector"
        # It stays on its node.
        await pilot.press("down", "down", "down")
        await settled(pilot)
        assert below(app) == ["0 A10", "tracker", "1 A10", "2 A10", "detector"]
        await pilot.press("up", "g")
        await settled(pilot)
        assert below(app)[2] == "detector"
        await pilot.press("G", "escape")
        assert "Put back: nothing has changed." in await settled(pilot)
        assert below(app) == ["0 A10", "detector", "tracker", "1 A10", "2 A10"]
        row = table_of(app).current
        assert row is not None
        assert row.cells[1].text.strip() == "detector"
    assert workloads_of(app).planned == []


@pytest.mark.parametrize("drop", ["enter", "m"])
async def test_dropped_it_is_asked_what_would_happen_with_cancel_focused(
    make_app: MakeApp, drop: str
) -> None:
    app = placement_app(make_app)
    workloads = workloads_of(app)
    terms = {"select": "0", "memory_bytes": 6 * GIB, "exclusive": True, "on_exceeded": "restart"}
    workloads.put("detector", memory_bytes=6 * GIB, gpu=terms)
    async with app.run_test(size=(80, 24)) as pilot:
        await pick_up(pilot)
        await pilot.press("down", "down", drop)
        text = await settled(pilot)
        assert "Pin detector on cam?" in text
        assert "8. if any of this fails: the old container runs again as before" in text
        assert ">[ Cancel ]" in text
        # Where it really is, until the node says otherwise.
        await pilot.press("enter")
        await settled(pilot)
        assert below(app) == ["0 A10", "detector", "tracker", "1 A10", "2 A10"]
        assert workloads.pinned == []
        await pilot.press("m", "down", drop)
        await settled(pilot)
        await pilot.press("tab", "enter")
        assert "workload.deploy of pin detector" in await settled(pilot)
    selects = [request.gpu.select for _, request in workloads.planned]
    assert selects == [uuid_of("cam", 2), uuid_of("cam", 1)]
    ((_, request),) = workloads.pinned
    assert request.gpu.select == uuid_of("cam", 1)
    # What it was given its GPU with goes on.
    assert (request.gpu.memory_bytes, request.gpu.exclusive) == (6 * GIB, True)
    assert request.gpu.on_exceeded == "restart"


async def test_dropped_where_it_was_nothing_is_asked(make_app: MakeApp) -> None:
    app = placement_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await pick_up(pilot)
        await pilot.press("down", "up", "enter")
        assert "detector stays where it is." in await settled(pilot)
        assert below(app)[1] == "detector"
    assert workloads_of(app).planned == []


async def test_its_other_gpus_stay(make_app: MakeApp) -> None:
    app = placement_app(make_app)
    containers = fleet_of(app).nodes["cam"].sections["containers"]
    detector = next(record for record in containers.values() if record["name"] == "detector")
    detector["gpus"] = ["0", uuid_of("cam", 1)]
    async with app.run_test(size=(80, 24)) as pilot:
        await pick_up(pilot)
        await pilot.press("down", "down", "enter")
        await settled(pilot)
    ((_, request),) = workloads_of(app).planned
    assert request.gpu.select == f"{uuid_of('cam', 1)},{uuid_of('cam', 2)}"


async def test_what_cannot_be_picked_up_says_why(make_app: MakeApp) -> None:
    app = placement_app(make_app, gpus=1)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        assert "Put the cursor on a container, then pick it up." in await settled(pilot)
        await pilot.press("down", "m")
        assert "cam has no other GPU that it could be moved to." in await settled(pilot)
        await pilot.press("a", "escape")
        await settled(pilot)
        assert app.view.command.view == "placement"


async def test_a_filter_goes_so_that_the_other_gpus_are_seen(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", A10, 2)], first="placement")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"tracker", "enter")
        await settled(pilot)
        assert below(app) == ["0 A10", "tracker"]
        await pilot.press("down", "m", "down")
        await settled(pilot)
        assert below(app) == ["0 A10", "detector", "1 A10", "tracker"]


async def test_figures_go_on_while_it_is_carried_and_one_that_went_is_put_down(
    make_app: MakeApp,
) -> None:
    app = placement_app(make_app)
    fleet = fleet_of(app)
    async with app.run_test(size=(80, 24)) as pilot:
        await pick_up(pilot)
        await pilot.press("down")
        fleet.set_gpu("cam", 1, utilization_percent=99)
        app.tick()
        text = await settled(pilot)
        assert "99%" in text
        assert below(app)[3] == "detector"
        containers = fleet.nodes["cam"].sections["containers"]
        del containers[next(k for k, each in containers.items() if each["name"] == "detector")]
        fleet.nodes["cam"].sections["processes"].clear()
        fleet.changed.add("cam")
        app.tick()
        assert "detector is not there any more." in await settled(pilot)
        assert below(app) == ["0 A10", "tracker", "1 A10", "2 A10"]


async def test_enter_shows_the_log_or_the_node(make_app: MakeApp) -> None:
    app = placement_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert str(app.view.command) == "node cam"
        await pilot.press("escape", "down", "enter")
        await settled(pilot)
        assert str(app.view.command) == "logs @cam detector"


async def test_undo_is_of_the_workload_under_the_cursor_else_of_the_last_pin(
    make_app: MakeApp,
) -> None:
    app = placement_app(make_app)
    workloads = workloads_of(app)
    workloads.put("tracker")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        assert "Put the cursor on a workload: nothing was pinned" in await settled(pilot)
        await pilot.press("down", "down", "u")
        text = await settled(pilot)
        assert "Undo tracker on cam?" in text
        assert ">[ Cancel ]" in text
        await pilot.press("escape", "home")
        app.context.placed.last_pin = ("cam", "tracker")
        await pilot.press("u")
        assert "Undo tracker on cam?" in await settled(pilot)
        await pilot.press("tab", "enter")
        assert "workload.revert of pin tracker" in await settled(pilot)
    assert workloads.undone == ["tracker"]


async def test_undo_of_a_container_that_is_kept_is_of_the_one_that_it_was(
    make_app: MakeApp,
) -> None:
    app = varied_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", "down", "down", "m")
        assert "It is kept for an undo of detector: move that one." in await settled(pilot)
        await pilot.press("u")
        assert "Undo detector on cam?" in await settled(pilot)


async def test_a_node_is_asked_again_when_a_pin_has_ended_there(make_app: MakeApp) -> None:
    app = placement_app(make_app)
    workloads, view = workloads_of(app), fleet_of(app).nodes["cam"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert (workloads.lists, workloads_of(app, "gate").lists) == (1, 1)
        begun(view, "workload.deploy", "pin detector")
        workloads.put("detector", memory_bytes=6 * GIB)
        fleet_of(app).changed.add("cam")
        app.tick()
        assert "6.0G" in await settled(pilot)
        assert (workloads.lists, workloads_of(app, "gate").lists) == (2, 1)
        await pilot.press("r")
        await settled(pilot)
        assert (workloads.lists, workloads_of(app, "gate").lists) == (3, 2)


async def test_a_fleet_without_gpus_says_so(make_app: MakeApp) -> None:
    app = make_app([make_node("a", None)], first="placement")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no node here has a GPU" in await settled(pilot)
