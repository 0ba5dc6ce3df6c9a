"""Pushing an archive: the dialog, what goes on behind other screens, and how it ends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.pushing import Pushes
from console.tui.screens.choosing import ChooseArchive
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_carrier import MIB, REFUSED, FakeCarrier, make_archive, make_plan
from tests.console.tui.fakes import make_node, put_job
from tests.console.tui.showing import fleet_of, settled, type_command

# Many keys, and archives that are read.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the console was started: an archive, a folder, and what is no archive."""
    make_archive(tmp_path)
    (tmp_path / "apples").mkdir()
    make_archive(tmp_path / "apples", "deep.tar.zst")
    (tmp_path / "notes.txt").write_text("no archive")
    return tmp_path


def push_app(
    make_app: MakeApp, folder: Path, first: str = "images", *, read_only: bool = False
) -> tuple[RoostApp, FakeCarrier]:
    """a, b in the lab, gate in production."""
    nodes = [
        make_node("a", labels={"site": "lab"}),
        make_node("b", labels={"site": "lab"}),
        make_node("gate", production=True),
    ]
    carrier = FakeCarrier()
    return make_app(
        nodes, first=first, read_only=read_only, pushes=Pushes(carrier, str(folder))
    ), carrier


async def choose(pilot: Pilot[int], *names: str) -> str:
    """Type in the window that asks for the archive, then Enter."""
    await pilot.press("u")
    await settled(pilot)
    await pilot.press(*names, "enter")
    return await settled(pilot)


async def begin(pilot: Pilot[int], selector: str, *typed: str) -> str:
    """Push app.tar to these nodes; `typed` is the answer to the question."""
    await settled(pilot)
    await choose(pilot, *"app.tar")
    await pilot.press("ctrl+u", *selector, "enter")
    await settled(pilot)
    await pilot.press(*typed)
    await pilot.pause()
    return await settled(pilot)


async def test_the_window_lists_archives_with_their_size(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        text = await settled(pilot)
        assert "Which archive?" in text
        assert "apples/" in text
        assert "app.tar" in text
        assert "20K" in text or "30K" in text
        assert "notes.txt" not in text
        await pilot.press("escape")
        assert "Which archive?" not in await settled(pilot)


async def test_a_path_is_completed_and_folders_are_opened(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        await settled(pilot)
        await pilot.press("a", "tab")
        await settled(pilot)
        assert isinstance(app.screen, ChooseArchive)
        assert app.screen._input.value == f"{folder}/app"
        await pilot.press("l", "tab")
        text = await settled(pilot)
        assert app.screen._input.value == f"{folder}/apples/"
        assert "deep.tar.zst" in text
        await pilot.press("enter")
        assert "push deep.tar.zst to:" in await settled(pilot)


async def test_a_path_that_is_not_there_says_so(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        text = await choose(pilot, *"none/")
        assert "No such file or directory" in text or "there is no such file" in text
        await pilot.press("escape")
        await settled(pilot)
        assert app.view.command.view == "images"


async def test_what_is_no_archive_is_a_problem(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await choose(pilot, *"notes.txt")
        await pilot.press(*"@a", "enter")
        assert "archive." in await settled(pilot)


@pytest.mark.parametrize(("selector", "said"), [("", "selects no node"), ("@x", "x")])
async def test_a_selector_that_picks_none(
    make_app: MakeApp, folder: Path, selector: str, said: str
) -> None:
    app, carrier = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        text = await begin(pilot, selector)
        assert said in text
        assert carrier.pushers == {}


async def test_what_would_happen_is_said_for_each_node(make_app: MakeApp, folder: Path) -> None:
    app, carrier = push_app(make_app, folder)
    carrier.plans["b"] = make_plan(problem=REFUSED)
    async with app.run_test(size=(100, 30)) as pilot:
        text = await begin(pilot, "site=lab")
        assert "app.tar" in text
        assert "app:1 for linux/amd64" in text
        assert "a send 20M, needs 1.0G of 40.0G free" in text
        assert "b left out, it would be refused" in text
        assert "do Free some." in text
        assert "20M to 1 node, before compression." in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.context.pushes.nodes == {}


async def test_reading_a_large_archive_can_be_cancelled(
    make_app: MakeApp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, carrier = push_app(make_app, folder)
    ended: list[Exception] = []

    def read(path: Path, heard: Callable[[int, int], None]) -> None:
        try:
            for percent in itertools.cycle(range(100)):
                heard(percent * MIB, 100 * MIB)
                time.sleep(0.01)
        except Exception as error:
            ended.append(error)
            raise

    monkeypatch.setattr(carrier, "read", read)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await choose(pilot, *"app.tar")
        await pilot.press("ctrl+u", *"@a", "enter")
        while "% of 100M" not in app.view.footer.text:
            await pilot.pause(0.02)
        await pilot.press("escape")
        while not ended:
            await pilot.pause(0.02)
        assert "Cancelled here" in await settled(pilot)
        assert app.context.pushes.nodes == {}


async def test_nothing_to_do_is_said(make_app: MakeApp, folder: Path) -> None:
    app, carrier = push_app(make_app, folder)
    carrier.plans["a"] = make_plan(present=True)
    carrier.plans["b"] = ProblemError("link.unreachable", "b: no route to host")
    async with app.run_test(size=(100, 30)) as pilot:
        text = await begin(pilot, "site=lab")
        assert "a has it already" in text
        assert "b left out: b: no route to host" in text
        assert "There is nothing to do" in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.context.pushes.nodes == {}


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)])
async def test_progress_on_each_node_and_in_all(
    make_app: MakeApp, folder: Path, size: tuple[int, int]
) -> None:
    app, carrier = push_app(make_app, folder)
    async with app.run_test(size=size) as pilot:
        text = await begin(pilot, "site=lab", *"push", "space", "2", "enter")
        assert app.view.command.view == "push"
        for node, done in (("a", 5), ("b", 10)):
            carrier.pushers[node].set(
                done_bytes=done * MIB, bytes_per_second=1.0 * MIB, seconds_left=90.0
            )
        app.tick()
        text = await settled(pilot)
        assert "sending" in text
        assert "25%" in text
        assert "50%" in text
        assert "1M/s" in text
        # The line over the footer is cut where there is no room.
        assert "pushing app.tar: 0 of 2 nodes ended, 37% of 40M"[: size[0] - 12] in text
        if size[0] > 60:
            assert "2M/s, 1m left" in text


async def test_it_goes_on_behind_other_screens_and_a_line_says_so(
    make_app: MakeApp, folder: Path
) -> None:
    app, carrier = push_app(make_app, folder)
    carrier.ends["b"] = ProblemError("blob.digest", "b: what came was not the layer")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "site=lab", *"push", "space", "2", "enter")
        text = await type_command(pilot, "fleet")
        assert "pushing app.tar: 0 of 2 nodes ended" in text
        for pusher in carrier.pushers.values():
            pusher.go_on.set()
        await settled(pilot)
        app.tick()
        text = await settled(pilot)
        assert "push of app.tar ended: 1 done, 1 failed: b" in text
        text = await type_command(pilot, "push")
        rows = [" ".join(line.split()) for line in text.splitlines()[3:5]]
        assert rows[0].startswith(">a done 100% app:1 555555555555")
        assert "failed" in rows[1]
        assert "what came was not the layer" in rows[1]
        await pilot.press("down", "enter")
        assert "blob.digest" in await settled(pilot)
        await pilot.press("escape")
        assert "ended:" not in await type_command(pilot, "gpus")


async def test_stopping_leaves_the_job_and_offers_to_end_it(
    make_app: MakeApp, folder: Path
) -> None:
    app, carrier = push_app(make_app, folder)
    job = put_job(fleet_of(app).nodes["a"], "j1", stage="receiving")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        carrier.pushers["a"].set(job=job)
        await pilot.press("x")
        text = await settled(pilot)
        assert "Send no more to a?" in text
        assert ">[ Go on ]" in text
        await pilot.press("tab", "enter")
        text = await settled(pilot)
        assert "End the job for app.tar on a?" in text
        assert ">[ Let it wait ]" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert "stopped" in text
        assert "its job j1 waits" in text
        assert fleet_of(app).clients["a"].asked == []
        assert "all have ended: 1 stopped: a" in text


async def test_stopping_and_ending_the_job(make_app: MakeApp, folder: Path) -> None:
    app, carrier = push_app(make_app, folder)
    job = put_job(fleet_of(app).nodes["a"], "j1", stage="receiving")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        carrier.pushers["a"].set(job=job)
        await pilot.press("x", "tab", "enter")
        await settled(pilot)
        await pilot.press("tab", "enter")
        assert "the job is cancelling on a" in await settled(pilot)
        assert fleet_of(app).clients["a"].asked == [("cancel", "j1")]
        await pilot.press("a", "tab", "enter")
        text = await settled(pilot)
        assert "pushing app.tar again" in text
        assert app.context.pushes.nodes["a"].going_on
        await pilot.press("a")
        assert "There is none that failed or was stopped." in await settled(pilot)


async def test_again_leaves_what_the_others_came_to(make_app: MakeApp, folder: Path) -> None:
    app, carrier = push_app(make_app, folder)
    carrier.ends["b"] = ProblemError("link.timeout", "b did not answer")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "site=lab", *"push", "space", "2", "enter")
        for pusher in carrier.pushers.values():
            pusher.go_on.set()
        await settled(pilot)
        app.tick()
        assert "1 done, 1 failed: b" in await settled(pilot)
        carrier.ends.clear()
        await pilot.press("down", "a", "tab", "enter")
        await settled(pilot)
        carrier.pushers["b"].go_on.set()
        await settled(pilot)
        app.tick()
        assert "all have ended: 2 done" in await settled(pilot)


async def test_a_node_that_is_being_sent_to_is_not_pushed_to_twice(
    make_app: MakeApp, folder: Path
) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        await pilot.press("escape")
        text = await begin(pilot, "@a")
        assert "Something is being sent to a already" in text


async def test_production_wants_the_name(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        text = await begin(pilot, "@gate")
        assert "PRODUCTION: gate" in text
        assert "type gate to go on" in text
        await pilot.press(*"gate", "enter")
        await settled(pilot)
        assert app.context.pushes.nodes["gate"].going_on


@pytest.mark.parametrize("way", [(":",), ("ctrl+c",)])
async def test_leaving_asks_first_and_says_how_to_go_on(
    make_app: MakeApp, folder: Path, way: Sequence[str]
) -> None:
    app, _ = push_app(make_app, folder)
    keys = ("colon", "q", "enter") if way == (":",) else way
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "site=lab", *"push", "space", "2", "enter")
        await pilot.press(*keys)
        text = await settled(pilot)
        assert "Leave Roost while it sends to 2 nodes?" in text
        assert "roost image push" in text
        assert "@a,@b" in text
        await pilot.press("enter")
        await settled(pilot)
        assert len(app.context.pushes.going_on) == 2
        await pilot.press(*keys)
        await settled(pilot)
        await pilot.press("tab", "enter")
        await pilot.pause()
    assert app.return_value == 0
    assert all(push.stopped for push in app.context.pushes.nodes.values())


async def test_ctrl_c_twice_leaves(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        await pilot.press("ctrl+c")
        await settled(pilot)
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert app.return_value == 0


async def test_marked_nodes_of_an_image_are_suggested(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder, "image app:1")
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space", "space")
        assert "push app.tar to: @a,@b" in await choose(pilot, *"app.tar")


async def test_read_only_refuses(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder, read_only=True)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        for key, label in (("u", "push"), ("m", "import")):
            await pilot.press(key)
            assert f"This console is read-only: no {label} here." in await settled(pilot)


async def test_nothing_is_being_sent(make_app: MakeApp, folder: Path) -> None:
    app, _ = push_app(make_app, folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        assert "nothing is being sent" in await type_command(pilot, "push")
        await pilot.press("x")
        assert "Nothing is being sent there." in await settled(pilot)
