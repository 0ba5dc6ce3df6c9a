"""Images that are in the way of a push: none goes without a switch that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from agent.protocol.images import Freeable
from console.tui.app import RoostApp
from console.tui.terms import Terms
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_carrier import MIB, FakeCarrier, make_archive, make_plan
from tests.console.tui.screens.test_push import push_app
from tests.console.tui.showing import settled

pytestmark = pytest.mark.timeout(60)

IN_THE_WAY = make_plan(
    frees=[
        Freeable(kind="blob", name=f"sha256:{'1' * 64}", size_bytes=2 * MIB),
        Freeable(kind="image", name="old:1", size_bytes=30 * MIB),
        Freeable(kind="image", name="older:1", size_bytes=10 * MIB),
    ]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_archive(tmp_path)
    return tmp_path


async def shows(pilot: Pilot[int], text: str) -> str:
    """The screen, once it has this; the test's own time-out is the limit."""
    while text not in (seen := await settled(pilot)):
        await pilot.pause(0.01)
    return seen


async def begun(pilot: Pilot[int], selector: str, *typed: str) -> str:
    """Push app.tar to these nodes; each answer only once its question is there."""
    await settled(pilot)
    await pilot.press("u")
    await shows(pilot, "Which archive?")
    await pilot.press(*"app.tar", "enter")
    await shows(pilot, "push app.tar to:")
    await pilot.press("ctrl+u", *selector, "enter")
    await shows(pilot, "[ Cancel ]" if "@" in selector else "type push")
    await pilot.press(*typed)
    return await settled(pilot)


def room_app(make_app: MakeApp, folder: Path, *full: str) -> tuple[RoostApp, FakeCarrier]:
    app, carrier = push_app(make_app, folder)
    carrier.plans |= dict.fromkeys(full, IN_THE_WAY)
    return app, carrier


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 50)])
async def test_the_switch_counts_what_would_go(
    make_app: MakeApp, folder: Path, size: tuple[int, int]
) -> None:
    app, carrier = room_app(make_app, folder, "a")
    async with app.run_test(size=size) as pilot:
        text = await begun(pilot, "site=lab")
        # It is asked what would go once they may; nothing has changed by that.
        assert carrier.convoys[-1].terms == Terms(make_room=True)
        assert "make room [ ] remove 2 images (40M) on a" in text
        if size[1] > 16:
            assert "to make room: image old:1 (30M)" in text
            assert "to make room: image older:1 (10M)" in text
            assert "removes 1 kept layer (2M)" in text
            assert "nothing is sent unless they may go" in text


async def test_off_those_nodes_are_left_out(make_app: MakeApp, folder: Path) -> None:
    app, carrier = room_app(make_app, folder, "a")
    async with app.run_test(size=(100, 30)) as pilot:
        await begun(pilot, "site=lab", *"push", "space", "2", "enter")
        assert carrier.convoys[-1].terms == Terms()
        assert set(app.context.pushes.nodes) == {"b"}


async def test_on_all_are_pushed_to_and_it_is_not_suggested_again(
    make_app: MakeApp, folder: Path
) -> None:
    app, carrier = room_app(make_app, folder, "a")
    async with app.run_test(size=(100, 30)) as pilot:
        await begun(pilot, "site=lab", "tab", "tab", "tab", "tab", "space")
        await shows(pilot, "[x] remove 2 images")
        await pilot.press("tab", *"push", "space", "2", "enter")
        await settled(pilot)
        assert carrier.convoys[-1].terms == Terms(make_room=True)
        assert set(app.context.pushes.nodes) == {"a", "b"}
        carrier.pushers["a"].set(plan=IN_THE_WAY)
        for pusher in carrier.pushers.values():
            pusher.go_on.set()
        await settled(pilot)
        app.tick()
        await shows(pilot, "; removed 2 images for it")
        await pilot.press("escape")
        assert "make room [ ] remove 2 images" in await begun(pilot, "site=lab")


async def test_where_there_is_room_nowhere_it_says_so(make_app: MakeApp, folder: Path) -> None:
    app, carrier = room_app(make_app, folder, "a", "b")
    async with app.run_test(size=(100, 30)) as pilot:
        text = await begun(pilot, "site=lab", *"push", "space", "2", "enter")
        assert "remove 4 images (80M) on 2 nodes" in text
        assert "There is no room unless these images may go: Space." in text
        assert app.context.pushes.nodes == {}
        await pilot.press("space", "tab", "enter")
        await settled(pilot)
        assert set(app.context.pushes.nodes) == {"a", "b"}
        assert carrier.convoys[-1].terms.make_room


async def test_cancel_has_the_focus(make_app: MakeApp, folder: Path) -> None:
    app, _ = room_app(make_app, folder, "a")
    async with app.run_test(size=(100, 30)) as pilot:
        assert ">[ Cancel ]" in await begun(pilot, "@a")
        await pilot.press("enter")
        await settled(pilot)
        assert app.context.pushes.nodes == {}


async def test_again_it_is_asked_again(make_app: MakeApp, folder: Path) -> None:
    app, _ = room_app(make_app, folder, "a")
    async with app.run_test(size=(100, 30)) as pilot:
        await begun(pilot, "@a", "tab", "tab", "tab", "tab", "tab", "space", "tab", "tab", "enter")
        await shows(pilot, "sending")
        await pilot.press("x")
        await shows(pilot, "[ Go on ]")
        await pilot.press("tab", "enter")
        await shows(pilot, "stopped")
        await pilot.press("a")
        await shows(pilot, "make room [ ] remove 2 images")


def test_what_terms_say() -> None:
    assert Terms(make_room=True).options == " --make-room"
