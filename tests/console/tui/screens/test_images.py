"""Images by nodes: what is shown, tag and remove."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import NOW, make_image, make_node
from tests.console.tui.showing import fleet_of, settled, table_of, type_command

AWAY = ProblemError("link.unreachable", "d: no route to host")


def image_app(make_app: MakeApp, first: str = "images", *, read_only: bool = False) -> RoostApp:
    """a, b and c answer, d is offline; web:1 is another image on c; only a has old:1."""
    labels = {"site": "lab"}
    nodes = [
        make_node("a", labels=labels),
        make_node("b", labels=labels),
        make_node("c", production=True),
        make_node("d", state="offline", seen_ago=7200, problem=AWAY),
    ]
    app = make_app(nodes, first=first, read_only=read_only)
    clients = fleet_of(app).clients
    clients["a"].held = [make_image("web:1", containers=["web"]), make_image("old:1", 9)]
    clients["b"].held = [make_image("web:1")]
    clients["c"].held = [make_image("web:1", 2, size_bytes=500 * 1024**2)]
    return app


async def test_a_row_for_each_name_says_where_it_is_and_what_differs(make_app: MakeApp) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
    rows = [" ".join(line.split()) for line in text.splitlines()[3:5]]
    assert rows[0].startswith(">old:1 1/3 600M ")
    assert rows[0].endswith(" b, c")
    assert rows[1].startswith("web:1 3/3 2 images: other on c 600M 1 ")
    assert "1 did not answer" in text
    assert "read 0s ago" in text


@pytest.mark.parametrize("size", [(60, 14), (80, 24)])
async def test_what_differs_is_a_word_on_a_small_terminal_too(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = image_app(make_app)
    async with app.run_test(size=size) as pilot:
        line = (await settled(pilot)).splitlines()[4]
    assert "web:1" in line
    assert "2 images" in line


async def test_it_is_read_on_opening_and_again_with_r_and_not_in_between(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).clients["b"].held.append(make_image("new:1"))
        fleet_of(app).changed.add("b")
        monkeypatch.setattr("time.time", lambda: NOW + 200)
        app.tick()
        text = await settled(pilot)
        assert "new:1" not in text
        assert "read 3m ago" in text
        await pilot.press("r")
        text = await settled(pilot)
        assert "new:1" in text
        assert "read 0s ago" in text


async def test_a_node_that_does_not_answer_keeps_what_it_said(make_app: MakeApp) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).clients["c"].fails = ProblemError("link.timeout", "c did not answer")
        await pilot.press("r")
        text = await settled(pilot)
        assert "2 did not answer" in text
        assert "2 images" in text
        await type_command(pilot, "image web:1")
        text = await settled(pilot)
        assert "c did not answer" in text
        assert "another" in text


async def test_a_selector_chooses_the_nodes(make_app: MakeApp) -> None:
    app = image_app(make_app, "images site=lab")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "2/2" in text
        assert "images:" not in text
        await pilot.press("slash", *"-l", "space", *"@b", "enter")
        app.tick()
        text = await settled(pilot)
        assert "old:1" not in text
        assert "1/1" in text


async def test_enter_shows_it_node_by_node(make_app: MakeApp) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await pilot.press("end", "enter")
        text = await settled(pilot)
        assert app.view.crumb == "image web:1"
        rows = [" ".join(line.split()) for line in text.splitlines()[3:7]]
        assert rows[0].startswith(">a yes ")
        assert rows[0].endswith("600M 1d web")
        assert rows[2].startswith("c PROD another ")
        assert "500M 2d" in rows[2]
        assert rows[3].startswith("d unknown ")
        assert rows[3].endswith("2h d: no route to host")
        await pilot.press("enter")
        text = await settled(pilot)
        assert "used by   web" in text
        assert "platform  linux/amd64" in text
        assert "layers    sha256:" in text
        await pilot.press("escape", "end", "enter")
        assert "link.unreachable" in await settled(pilot)


async def test_one_without_a_name_goes_by_its_id(make_app: MakeApp) -> None:
    app = image_app(make_app)
    bare = make_image("bare", tags=[])
    fleet_of(app).clients["a"].held = [bare]
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "(no name)" in text
        await type_command(pilot, "images @a")
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.crumb == f"image {bare.id}"
        assert table_of(app).model.shown[0].cells[1].text == "yes"


async def test_remove_asks_for_every_node_that_has_it(make_app: MakeApp) -> None:
    app = image_app(make_app)
    clients = fleet_of(app).clients
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x", "tab", "enter")
        text = await settled(pilot)
        assert "old:1: removed on a" in text
        assert "(no name)" not in text
        assert [row.key for row in table_of(app).model.shown] == ["web:1"]
        await pilot.press("x")
        text = await settled(pilot)
        assert "Remove 3 images on 3 nodes?" in text
        assert "PRODUCTION: c" in text
        await pilot.press(*"remove", "space", "3", "enter")
        text = await settled(pilot)
        assert "remove: all 3 are done" in text
        assert "no images" in text
    assert clients["a"].asked == [("remove", "old:1"), ("remove", "web:1")]
    assert clients["c"].asked == [("remove", "web:1")]


async def test_remove_from_one_production_node_wants_its_name(make_app: MakeApp) -> None:
    app = image_app(make_app, "image web:1")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", "x")
        assert "Type c to go on:" in await settled(pilot)
        await pilot.press("c", "enter")
        text = await settled(pilot)
        assert "web:1: removed on c" in text
    asked = {name: client.asked for name, client in fleet_of(app).clients.items()}
    assert asked == {"a": [], "b": [], "c": [("remove", "web:1")], "d": []}


async def test_tag_on_marked_nodes(make_app: MakeApp) -> None:
    app = image_app(make_app, "image web:1")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space", "space", "t", *"web:stable", "enter")
        text = await settled(pilot)
        assert "Tag 2 images on 2 nodes?" in text
        assert "as web:stable" in text
        await pilot.press(*"tag", "space", "2", "enter")
        assert "tag: all 2 are done" in await settled(pilot)
    clients = fleet_of(app).clients
    assert clients["a"].asked == clients["b"].asked == [("tag", "web:1 web:stable")]
    assert clients["c"].asked == []


async def test_a_name_that_no_image_can_have_is_refused_here(make_app: MakeApp) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("t", *"Not A Name", "enter")
        assert "image.reference" in await settled(pilot)
    assert fleet_of(app).clients["a"].asked == []


async def test_what_nobody_has_is_neither_tagged_nor_removed(make_app: MakeApp) -> None:
    app = image_app(make_app, "image none:1")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for key in ("x", "t"):
            await pilot.press(key)
            assert "no image under the cursor that a node has" in await settled(pilot)
        await pilot.press("enter")
        assert "a does not have it." in await settled(pilot)


async def test_an_image_needs_a_name(make_app: MakeApp) -> None:
    app = image_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Type :images to choose one." in await type_command(pilot, "image")


async def test_read_only_refuses(make_app: MakeApp) -> None:
    app = image_app(make_app, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for key, label in (("x", "remove"), ("t", "tag")):
            await pilot.press(key)
            assert f"This console is read-only: no {label} here." in await settled(pilot)


async def test_i_shows_the_images_of_marked_nodes(make_app: MakeApp) -> None:
    app = image_app(make_app, "fleet")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space", "space", "i")
        assert "2/2" in await settled(pilot)
        assert app.view.crumb == "images @a,@b"
        await type_command(pilot, "node c")
        await pilot.press("i")
        await settled(pilot)
        assert app.view.crumb == "images @c"
