"""Loading an archive that lies on a node."""

from __future__ import annotations

from agent.protocol.images import FoundArchive, Medium
from agent.protocol.problems import Problem, ProblemError
from console.tui.app import RoostApp
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import NOW, make_node, put_job
from tests.console.tui.showing import fleet_of, settled

FOUND = FoundArchive(path="/media/usb/app.tar", size_bytes=600 * 1024**2, modified_at=NOW - 7200)


def medium(path: str, *archives: FoundArchive, reason: str | None = None) -> Medium:
    return Medium(
        path=path,
        device="sdb1",
        filesystem="vfat",
        removable=True,
        archives=list(archives),
        reason=reason,
    )


def import_app(make_app: MakeApp, first: str) -> RoostApp:
    """a has a stick with an archive, and one that cannot be read; gate is in production."""
    app = make_app([make_node("a"), make_node("gate", production=True)], first=first)
    fleet_of(app).clients["a"].plugged = [
        medium("/media/usb", FOUND),
        medium("/media/bad", reason="input/output error"),
    ]
    return app


async def test_what_lies_on_the_nodes_media_is_offered_and_loaded(make_app: MakeApp) -> None:
    app = import_app(make_app, "images @a")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        text = await settled(pilot)
        assert "Archives on a" in text
        assert "/media/usb/app.tar" in text
        assert "600M 2h" in " ".join(text.split())
        assert "/media/bad: input/output error" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert "Import /media/usb/app.tar on a?" in text
        assert ">[ Cancel ]" in text
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert app.view.crumb == "job a/new1"
    assert fleet_of(app).clients["a"].asked == [("import", "/media/usb/app.tar")]


async def test_the_node_is_asked_for_where_there_are_several(make_app: MakeApp) -> None:
    app = import_app(make_app, "images")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m", *"nowhere", "enter")
        assert "There is no node nowhere." in await settled(pilot)
        await pilot.press("m", "g", "tab", "enter")
        text = await settled(pilot)
        assert "Archives on gate" in text
        assert "the node found no archive by itself" in text


async def test_another_path_on_a_production_node_wants_its_name(make_app: MakeApp) -> None:
    app = import_app(make_app, "images @gate")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press(*"srv/x.tar", "enter")
        text = await settled(pilot)
        assert "Import /srv/x.tar on gate?" in text
        assert "PRODUCTION: gate" in text
        await pilot.press(*"gate", "enter")
        await settled(pilot)
    assert fleet_of(app).clients["gate"].asked == [("import", "/srv/x.tar")]


async def test_what_cannot_be_read_cannot_be_chosen(make_app: MakeApp) -> None:
    app = import_app(make_app, "images @a")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        await pilot.press("down", "down", "enter")
        await settled(pilot)
        assert app.view.command.view == "images"
    assert fleet_of(app).clients["a"].asked == []


async def test_a_node_that_does_not_answer(make_app: MakeApp) -> None:
    app = import_app(make_app, "image app:1")
    fleet_of(app).clients["a"].fails = ProblemError("link.timeout", "a did not answer")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        assert "link.timeout" in await settled(pilot)


async def test_one_that_found_no_room_is_retried_with_the_word(make_app: MakeApp) -> None:
    app = import_app(make_app, "job @a j1")
    problem = Problem(
        code="space.short",
        title="There is not enough space",
        status=507,
        detail="600 MiB are needed",
        params={"make_room": True, "images": ["old:1", "older:1"]},
    )
    node = fleet_of(app).nodes["a"]
    put_job(node, "j1", "failed", kind="image.import", subject=FOUND.path, problem=problem)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await settled(pilot)
        assert "Removes 2 images to make room" in text
        assert "old:1, older:1" in text
        assert ">[ Cancel ]" in text
        await pilot.press("tab", "enter")
        await settled(pilot)
    asked = fleet_of(app).clients["a"].asked
    assert asked == [("import", "/media/usb/app.tar making room")]
