"""Pins by the window: GPUs are chosen, the node says what would happen, then it is asked."""

from __future__ import annotations

import asyncio

import pytest
from textual.pilot import Pilot

from agent.protocol.deployments import DeployOptions
from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.screens.pin_dialog import PinDialog
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_workloads import NO_ROOM, FakeWorkloads
from tests.console.tui.fakes import A10, GIB, make_node, uuid_of
from tests.console.tui.showing import fleet_of, settled, table_of

pytestmark = pytest.mark.timeout(60)


def pin_app(make_app: MakeApp, first: str = "containers", *, production: bool = False) -> RoostApp:
    """A node with two GPUs; detector and tracker are on the first."""
    return make_app([make_node("cam", A10, 2, production=production)], first=first)


def workloads_of(app: RoostApp, node: str = "cam") -> FakeWorkloads:
    return fleet_of(app).clients[node].workloads


def container_id(app: RoostApp, name: str) -> str:
    containers = fleet_of(app).nodes["cam"].sections["containers"]
    return next(key for key, record in containers.items() if record["name"] == name)


async def choose(pilot: Pilot[int], *keys: str) -> str:
    """Press keys in the window, and Enter."""
    await settled(pilot)
    await pilot.press(*keys, "enter")
    return await settled(pilot)


@pytest.mark.parametrize("first", ["containers", "node cam", "placement", "workloads"])
async def test_the_window_shows_the_gpus_wherever_the_container_is(
    make_app: MakeApp, first: str
) -> None:
    app = pin_app(make_app, first)
    workloads_of(app).put("detector", memory_bytes=6 * GIB)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        if first == "placement":
            await pilot.press("down")
        await pilot.press("a")
        text = await settled(pilot)
        assert "Pin detector on cam, now on GPU 0" in text
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert any("0 A10 40% 13.8/23.0G" in line for line in lines)
        assert any("detector (now), tracker" in line for line in lines)
        assert any("1 A10 41% 14.0/23.0G" in line for line in lines)
        assert "least-memory" in text
        assert "least-busy" in text
        await pilot.press("escape")
        assert "Pin detector" not in await settled(pilot)
    assert workloads_of(app).planned == []


async def test_cancel_has_the_focus_and_what_would_happen_is_said_in_words(
    make_app: MakeApp,
) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await choose(pilot, "down", "down", "down")
        assert "Pin detector on cam?" in text
        assert "replace, stop-then-start: both want port 8000" in text
        assert "GPUs: GPU-a-0 (cdi) becomes GPU-a-1 (cdi)" in text
        assert "5. look from inside whether it sees its GPUs, and no other" in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        assert "Pin detector" not in await settled(pilot)
    workloads = workloads_of(app)
    ((container, request),) = workloads.planned
    assert container == container_id(app, "detector")
    assert (request.gpu.select, request.gpu.count) == (uuid_of("cam", 1), 1)
    assert (request.gpu.exclusive, request.gpu.memory_bytes) == (False, None)
    assert workloads.pinned == []


async def test_the_other_choice_begins_the_job_and_shows_it(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await choose(pilot)
        await pilot.press("tab", "enter")
        text = await settled(pilot)
        assert "job cam/new1" in text
        assert "workload.deploy of pin detector" in text
        job = fleet_of(app).nodes["cam"].sections["jobs"]["new1"]
        job.update(state="running", started_at=job["created_at"], stage="probing")
        app.tick()
        assert "running, probing" in await settled(pilot)
        seen = "nvidia-smi inside it lists GPU-cam-1"
        job.update(state="succeeded", ended_at=job["created_at"], result={"detector": seen})
        app.tick()
        assert f"detector: {seen}" in await settled(pilot)
    workloads = workloads_of(app)
    assert [request.gpu.select for _, request in workloads.pinned] == ["least-memory"]
    assert workloads.pinned == workloads.planned
    assert app.context.placed.last_pin == ("cam", "detector")


async def test_several_gpus_alone_and_with_memory_reserved(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", "down", "down", "space", "space")
        await pilot.press("tab", "space", "tab", *"6GiB")
        assert "6.0G reserved on each GPU" in await settled(pilot)
        await choose(pilot)
    ((_, request),) = workloads_of(app).planned
    assert request.gpu.select == f"{uuid_of('cam', 0)},{uuid_of('cam', 1)}"
    assert request.gpu.exclusive
    assert request.gpu.memory_bytes == 6 * GIB


async def test_gpus_and_a_way_to_choose_them_do_not_go_together(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", "space", "down", "space")
        assert "Either GPUs, or one way to choose them." in await choose(pilot)
        assert isinstance(app.screen, PinDialog)
    assert workloads_of(app).planned == []


async def test_how_it_gets_there_is_chosen_as_on_the_command_line(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", *["tab"] * 3)
        await pilot.press("backspace", "2", "tab", "space", "space")
        text = await settled(pilot)
        assert "count     2" in text
        assert ">[start-then-stop] the new one starts beside the old one" in text
        await pilot.press("tab", "space", "tab", "space")
        text = await settled(pilot)
        assert "[x] fail where nobody can look from inside" in text
        assert ">[manual] it goes back by itself unless confirmed" in text
        assert "how long it waits for your word: 15m" in text
        await pilot.press("tab", "ctrl+u", *"1h30m")
        assert "how long it waits for your word: 1h" in await settled(pilot)
        text = await choose(pilot)
        assert "note: it goes back by itself after 1h, unless it is confirmed" in text
    ((_, request),) = workloads_of(app).planned
    assert (request.gpu.select, request.gpu.count) == ("least-memory", 2)
    assert request.gpu.verify == "required"
    assert request.strategy == "start-then-stop"
    assert (request.options.confirm, request.options.confirm_within) == ("manual", 5400)


async def test_what_is_not_chosen_is_the_nodes_to_choose(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", *["tab"] * 6)
        text = await settled(pilot)
        assert ">[auto] it stays once it was well for long enough" in text
        assert "how long it waits" not in text  # it does not
        await choose(pilot, "space", "space")
    ((_, request),) = workloads_of(app).planned
    assert (request.strategy, request.gpu.verify) == (None, "if-possible")
    assert request.options == DeployOptions()


@pytest.mark.parametrize(
    ("tabs", "typed", "said"),
    [
        (3, "0", "not that: From 1 to 64."),
        (3, "1" * 30, "not that: From 1 to 64."),
        (7, "soon", "not that: Write it as 15m or 1h30m"),
        (7, "2000h", "not that: Write it as 15m or 1h30m"),
    ],
)
async def test_what_is_no_count_and_no_time_is_not_sent(
    make_app: MakeApp, tabs: int, typed: str, said: str
) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", *["tab"] * 6, "space", "tab", "tab", *["tab"] * tabs)
        await pilot.press("ctrl+u", *typed)
        assert said in await settled(pilot)
        await pilot.press(*["shift+tab"] * tabs)
        assert said in await choose(pilot)
        assert isinstance(app.screen, PinDialog)
    assert workloads_of(app).planned == []


async def test_a_low_terminal_has_room_for_the_gpus_and_the_field_that_is_changed(
    make_app: MakeApp,
) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(50, 11)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        for tabs, label in enumerate(("exclusive", "exclusive", "memory", "count", "strategy")):
            await pilot.press(*["tab"] * bool(tabs))
            text = await settled(pilot)
            assert "least-memory" in text
            assert label in text
        assert "exclusive" not in text


async def test_what_is_no_size_is_not_sent(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a", "tab", "tab", *"much")
        assert "not that: Write it as 800KB, 2MB or 1GiB." in await choose(pilot)
        assert isinstance(app.screen, PinDialog)
    assert workloads_of(app).planned == []


async def test_what_it_reserves_is_suggested_again_and_two_gpus_stay_two(
    make_app: MakeApp,
) -> None:
    app = pin_app(make_app)
    view = fleet_of(app).nodes["cam"]
    record = view.sections["containers"][container_id(app, "detector")]
    record["gpus"] = [uuid_of("cam", 0), uuid_of("cam", 1)]
    app.context.placed.said["cam"] = [workloads_of(app).put("detector", memory_bytes=6 * GIB)]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await settled(pilot)
        assert "2, where the node chooses" in text
        assert "6GiB" in text
        await choose(pilot, "down")
    ((_, request),) = workloads_of(app).planned
    assert (request.gpu.select, request.gpu.count) == ("least-busy", 2)
    assert request.gpu.memory_bytes == 6 * GIB


async def test_why_it_cannot_be_is_shown_with_what_to_do_and_nothing_can_be_begun(
    make_app: MakeApp,
) -> None:
    app = pin_app(make_app)
    workloads_of(app).problems.append(NO_ROOM)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await choose(pilot)
        assert "Cannot pin detector on cam" in text
        assert "CANNOT: GPU 1 (NVIDIA A10) has 2.0 GiB" in text
        assert "hint: Choose another GPU, reserve less" in text
        assert "[ Pin ]" not in text
        await pilot.press("enter")
        assert "CANNOT" not in await settled(pilot)
    assert workloads_of(app).pinned == []


async def test_what_is_lost_stands_first_and_that_there_is_more_is_said(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    workloads_of(app).lost += ["a link to db, which is gone", "its anonymous volume"]
    async with app.run_test(size=(60, 14)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await choose(pilot)
        assert "LOST: a link to db, which is gone" in text
        assert "PgDn: more" in text
        await pilot.press("pagedown", "pagedown", "pagedown")
        text = await settled(pilot)
        assert "as before" in text
        assert "PgDn: more" not in text
        assert ">[ Cancel ]" in text


async def test_on_production_the_name_has_to_be_typed(make_app: MakeApp) -> None:
    app = pin_app(make_app, production=True)
    async with app.run_test(size=(80, 30)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "PRODUCTION: Pin detector on cam" in await settled(pilot)
        text = await choose(pilot)
        assert "PRODUCTION: cam" in text
        assert "Type detector to go on:" in text
        await pilot.press("tab", "enter")
        assert "That is not detector." in await settled(pilot)
        assert workloads_of(app).pinned == []
        await pilot.press(*"detector", "enter")
        await settled(pilot)
    assert len(workloads_of(app).pinned) == 1


async def test_a_node_that_does_not_answer_says_so(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    fleet_of(app).clients["cam"].fails = ProblemError(
        "link.unreachable", "cam: no route to host", hint="Is it on?"
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await choose(pilot)
        assert "cam: no route to host" in text
        assert "Is it on?" in text


async def test_figures_that_are_old_say_so(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", A10, state="stale", seen_ago=190)], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "(stale: 3m old)" in await settled(pilot)


async def test_asking_can_be_cancelled_and_goes_on_one_at_a_time(make_app: MakeApp) -> None:
    app = pin_app(make_app)
    client = fleet_of(app).clients["cam"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        client.hold = asyncio.Event()
        await pilot.press("enter")
        await pilot.pause()
        assert "asking cam what would happen ..." in app.view.footer.text
        await pilot.press("a")
        await pilot.pause()
        assert "Something is still going on" in app.view.footer.text
        await pilot.press("escape")
        assert "Cancelled here" in await settled(pilot)
    assert client.workloads.planned == []


async def test_read_only_refuses_and_a_kept_container_is_left_alone(make_app: MakeApp) -> None:
    app = make_app([make_node("cam")], first="containers", read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "This console is read-only: no pin here." in await settled(pilot)
    app = pin_app(make_app)
    record = fleet_of(app).nodes["cam"].sections["containers"][container_id(app, "detector")]
    record["name"] = "detector.kept-1a2b"
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "It is kept for an undo of detector: move that one." in await settled(pilot)


async def test_from_a_node_to_its_placement(make_app: MakeApp) -> None:
    for first in ("fleet", "containers", "gpus", "node cam"):
        app = pin_app(make_app, first)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            await pilot.press("o")
            await settled(pilot)
            assert str(app.view.command) == "placement @cam"
            assert len(table_of(app).model.shown) == 4


async def test_a_process_stands_for_its_container(make_app: MakeApp) -> None:
    app = pin_app(make_app, "node cam")
    processes = fleet_of(app).nodes["cam"].sections["processes"]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("tab", "a")
        # The one with the most memory.
        assert "Pin tracker on cam, now on GPU 0" in await settled(pilot)
        await pilot.press("escape")
        for process in processes.values():
            process["container"] = None
        await pilot.press("a")
        assert "There is no container under the cursor." in await settled(pilot)
        await pilot.press("tab", "a")
        assert "There is no container under the cursor." in await settled(pilot)
