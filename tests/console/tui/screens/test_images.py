"""Images by nodes: what is shown, tag and remove."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.look.glyphs import ASCII
from console.tui.screens.images import ImagesScreen
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import NOW, make_image, make_node
from tests.console.tui.showing import fleet_of, settled, table_of, type_command

# Many keys are pressed, and each waits until the machine is idle.
pytestmark = pytest.mark.timeout(60)

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


def rows_in(text: str) -> list[str]:
    """The table's lines under its head, with one blank between cells."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    head = next(n for n, line in enumerate(lines) if line.startswith("IMAGE"))
    return lines[head + 1 :]


async def test_a_cell_says_yes_other_no_or_unknown_with_its_age(make_app: MakeApp) -> None:
    app = image_app(make_app)
    other = make_image("web:1", 2).id.removeprefix("sha256:")
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
        rows = rows_in(text)
        usual = make_image("old:1", 9).id.removeprefix("sha256:")[:12]
        assert rows[0] == f">old:1 1/3 600M {usual} yes - - ? 2h"
        usual = make_image("web:1").id.removeprefix("sha256:")[:12]
        assert rows[1] == f"web:1 3/3 ≠1 600M 1 {usual} yes yes ≠{other[:8]} ? 2h"
        assert "1 did not answer" in text
        assert "read 0s ago" in text
        heads = [line.split() for line in text.splitlines()[2:5]]
        assert heads[:2] == [["a", "b", "c", "d"], ["PROD"]]
        assert text.splitlines()[-2].startswith(" old:1  yes, on a  ? d  600M ")
        await pilot.press("down")
        about = (await settled(pilot)).splitlines()[-2]
        assert about.startswith(f" web:1  ≠{other[:12]} on c  ? d  600M {usual}  used by web")


@pytest.mark.parametrize("size", [(60, 14), (80, 24)])
async def test_what_differs_is_a_sign_on_a_small_terminal_too(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = image_app(make_app)
    other = make_image("web:1", 2).id.removeprefix("sha256:")
    async with app.run_test(size=size) as pilot:
        row = rows_in(await settled(pilot))[1]
    assert row.startswith("web:1 3/3 ≠1 ")
    assert f" yes yes ≠{other[:4]}" in row
    assert row.endswith(" ? 2h")


async def test_a_terminal_that_knows_ascii_only(make_app: MakeApp) -> None:
    app = make_app([make_node("a"), make_node("b"), make_node("c")], first="images", glyphs=ASCII)
    for name, build in (("a", 1), ("b", 1), ("c", 2)):
        fleet_of(app).clients[name].held = [make_image("web:1", build)]
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
    assert text.isascii()
    assert rows_in(text)[0].startswith(">web:1 3/3 !1 ")


def many_app(make_app: MakeApp, count: int) -> RoostApp:
    """`count` nodes; image 3 is another one on the last node, image 4 only there."""
    nodes = [make_node(f"plant-7-cam-{n:03d}", containers=0) for n in range(count)]
    app = make_app(nodes, first="images")
    for view in nodes:
        last = view is nodes[-1]
        fleet_of(app).clients[view.name].held = [
            make_image(f"registry.example/vision/image-{n}:1", 2 if last and n == 3 else 1)
            for n in range(5)
            if n < 4 or last
        ]
    return app


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("count", [25, 300])
async def test_many_nodes_are_looked_through_sideways(
    make_app: MakeApp, count: int, size: tuple[int, int]
) -> None:
    app = many_app(make_app, count)
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        assert isinstance(app.view, ImagesScreen)
        table = app.view.table
        first, end = table.seen
        assert first == 0
        if (count, size[0]) == (25, 200):
            assert end == 25
        else:
            assert f"<1-{end} of {count}>" in text
            await pilot.press("right", "right")
            assert f"<3-{end + 2} of {count}>" in await settled(pilot)
            await pilot.press("left", "greater_than_sign")
            assert table.seen[0] == min(end + 1, count - end)
            await pilot.press("less_than_sign", "left", "left")
            assert table.seen == (0, end)
            for _ in range(count // end + 1):
                await pilot.press("greater_than_sign")
        text = await settled(pilot)
        assert table.seen[1] == count
        # The first column has stayed, the last node is there.
        rows = rows_in(text)
        assert "image-3:1" in rows[3]
        assert "≠" in rows[3].split()[-1]
        assert rows[4].endswith(" - yes")
        assert all(len(line) <= size[0] for line in text.splitlines())


async def test_no_cell_is_made_anew_while_nothing_is_new(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = many_app(make_app, 300)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        monkeypatch.setattr("console.tui.screens.images.matrix_rows", _must_not)
        monkeypatch.setattr("console.tui.screens.images.by_name", _must_not)
        fleet_of(app).changed |= set(fleet_of(app).nodes)
        app.tick()
        await pilot.press("down", "right", "greater_than_sign")
        assert "image-1:1" in await settled(pilot)


def _must_not(*_: object) -> None:
    raise AssertionError


async def test_only_what_differs(make_app: MakeApp) -> None:
    app = many_app(make_app, 25)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        text = await settled(pilot)
        assert [row.key for row in table_of(app).model.shown] == [
            "registry.example/vision/image-3:1"
        ]
        assert " differing " in text
        await pilot.press("d")
        text = await settled(pilot)
        assert [row.key[-3] for row in table_of(app).model.shown] == ["3", "4"]
        assert " uneven " in text
        await pilot.press("d")
        await settled(pilot)
        assert len(table_of(app).model.shown) == 5
        await pilot.press("d", "escape")
        await settled(pilot)
        assert len(table_of(app).model.shown) == 5
        await pilot.press("slash", *"image-1", "enter", "d")
        assert "nothing matches" in await settled(pilot)


async def test_where_nothing_differs_it_says_so(make_app: MakeApp) -> None:
    app = image_app(make_app, "images site=lab")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        assert "no image is differing: d shows others" in await settled(pilot)
        await pilot.press("d")
        assert "old:1" in await settled(pilot)


async def test_sort_and_filter(make_app: MakeApp) -> None:
    app = many_app(make_app, 25)

    async def order(*keys: str) -> str:
        await pilot.press(*keys)
        await settled(pilot)
        return "".join(row.key[-3] for row in table_of(app).model.shown)

    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert await order("D") == "30124"
        assert await order("O", "O") == "40123"
        assert await order("I") == "01234"
        # A node's column sorts too, by a click on its head.
        app.view.act_sort("@plant-7-cam-024")
        assert await order() == "01243"
        assert await order("slash", *"image-4", "enter") == "4"
        # By the node that has it; what the cells say of others is not looked at.
        assert await order("escape", "slash", *"yes", "enter") == ""
        digits = make_image("registry.example/vision/image-3:1", 2).id[7:15]
        assert await order("escape", "slash", *digits, "enter") == "3"


async def test_what_is_saved_has_a_column_for_each_node(make_app: MakeApp, tmp_path: Path) -> None:
    app = image_app(make_app)
    file = tmp_path / "out.json"
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("e", "ctrl+u", *str(file), "enter")
        await settled(pilot)
    records = json.loads(await asyncio.to_thread(file.read_text))
    web = next(record for record in records if record["image"] == "web:1")
    assert (web["@a"], web["@d"]) == ("yes", None)
    assert web["@c"].startswith("other ")
    assert records[0]["@b"] == "no"


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
        assert "≠1" in text
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
        assert rows[0].endswith("600M 1h 1d web")
        assert rows[2].startswith("c PROD another ")
        assert "500M 2h 2d" in rows[2]
        assert rows[3].startswith("d unknown ")
        assert rows[3].endswith("2h d: no route to host")
        await pilot.press("enter")
        text = await settled(pilot)
        assert "named     2026-05-04 12:06:40" in text
        assert "built     2026-05-03 13:06:40" in text
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


async def test_v_shows_what_is_installed_in_an_image(make_app: MakeApp) -> None:
    app = image_app(make_app, first="image web:1")
    packages = fleet_of(app).clients["a"].packages
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for _ in range(2):  # the second time nobody reads
            await pilot.press("v")
            text = await settled(pilot)
            assert "1 deb, 1 pypi" in text
            assert "debian 12" in text
            assert "There may be more: /var/lib/rpm/Packages: not read" in text
            assert "numpy 2.0" in text
            await pilot.press("escape")
            await settled(pilot)
        assert packages.read_jobs == [make_image("web:1").id]
        await pilot.press("end")
        await pilot.press("v")
        assert "no node under the cursor that has it" in await settled(pilot)


async def test_what_the_node_says_against_it_is_shown(make_app: MakeApp) -> None:
    app = image_app(make_app, first="image web:1")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).clients["a"].fails = AWAY
        await pilot.press("v")
        assert "no route to host" in await settled(pilot)


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
