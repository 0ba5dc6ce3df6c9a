"""Whether images run on nodes: cells, the reason under the cursor, archives, small steps."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.tui.app import RoostApp
from console.tui.look.glyphs import ASCII
from console.tui.screens.compat import CompatScreen
from tests.archives_made import Made, as_json, docker_archive, layer
from tests.console.tui.compat_app import (
    NEEDS,
    able_node,
    compat_app,
    compat_of,
    cuda,
    nodes_of_all_kinds,
)
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10, H200, T4, make_image
from tests.console.tui.showing import fleet_of, screen_text, settled, table_of, type_command

# Many keys are pressed, and each waits until the machine is idle.
pytestmark = pytest.mark.timeout(60)


def rows_in(text: str) -> list[str]:
    """The table's lines under its head, with one blank between cells."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    head = next(n for n, line in enumerate(lines) if line.startswith("IMAGE"))
    return lines[head + 1 :]


async def test_a_cell_says_runs_cannot_or_unknown_and_how_old_that_is(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        text = await settled(pilot)
        rows = rows_in(text)
        assert rows[0].endswith(">runs runs 2h cannot unknown runs")
        assert rows[1].startswith("app:12 1/5 3 12.4")
        assert rows[1].endswith("cannot cannot 2h runs unknown cannot")
        # It wants no GPU.
        assert rows[3].endswith("runs runs 2h runs unknown runs")
        heads = [line.split() for line in text.splitlines()[2:5]]
        assert heads[:2] == [["a10", "far", "h200", "new", "t4"], ["PROD"]]
        assert heads[2][-1] == "2h"
        assert "1 did not answer" in text


async def test_a_warning_is_told_from_all_else(make_app: MakeApp) -> None:
    app = compat_app(make_app, nodes=[able_node("a10", A10)])
    needs = cuda("12.6.3", requires={"NVIDIA_REQUIRE_CUDA": "cuda>=12.0"})
    fleet_of(app).clients["a10"].needs["app:12"] = needs
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down")
        text = await settled(pilot)
        assert rows_in(text)[1].endswith(">warns")
        assert " app:12 on a10: runs, with a warning" in text


async def test_the_reason_under_the_cursor_with_its_mend_its_source_and_its_gpus(
    make_app: MakeApp,
) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", *["right"] * 4)
        text = await settled(pilot)
        assert " app:13 on t4: cannot run" in text
        assert " GPU 0-1 Tesla T4: cannot run" in text
        assert " cannot Driver 470.256.02 is too old for CUDA 13.0, which needs 580" in text
        assert " mend   Driver 580" in text
        assert " source " in text
        await pilot.press("left")
        text = await settled(pilot)
        assert " app:13 on new" in text
        assert " The node never said what it is: connecting" in " ".join(text.split("\n"))
        await pilot.press("left", "left")
        text = await settled(pilot)
        assert "app:13 on far: cannot run, as of 2h ago" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert "By what the node said 2h ago: it is offline." in text
        assert "13.0.0 (env CUDA_VERSION)" in text
        assert "470.256.02, up to CUDA 11.4" in text
        await pilot.press("escape")
        assert "app:13 on far" in await settled(pilot)


async def test_what_a_node_says_anew_is_judged_anew(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        assert rows_in(await settled(pilot))[1].endswith("cannot")
        fleet = fleet_of(app)
        facts = fleet.nodes["t4"].sections["facts"]
        stack = {**facts[""]["gpu_stack"], "driver_version": "580.65.06", "cuda_version": "13.0"}
        facts[""] = {**facts[""], "gpu_stack": stack}
        fleet.changed.add("t4")
        app.tick()
        text = await settled(pilot)
        assert rows_in(text)[1].endswith("cannot cannot 2h runs unknown runs")


async def test_nothing_is_made_anew_while_nothing_is_new(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = many_app(make_app, 300)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        monkeypatch.setattr("console.tui.screens.compat.compat_rows", _must_not)
        monkeypatch.setattr(app.context.compat, "take_images", _must_not)
        monkeypatch.setattr(app.context.compat, "work_out", _must_not)
        fleet_of(app).changed |= set(fleet_of(app).nodes)
        app.tick()
        await pilot.press("down", "right", "greater_than_sign")
        assert " app:12 on plant-7-cam-" in await settled(pilot)


def _must_not(*_: object) -> None:
    raise AssertionError("made anew")


def many_app(make_app: MakeApp, count: int) -> RoostApp:
    """`count` nodes with four images; the boards take turns."""
    boards = (T4, A10, H200)
    nodes = [able_node(f"plant-7-cam-{n:03d}", boards[n % 3]) for n in range(count)]
    return compat_app(make_app, nodes=nodes)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("count", [25, 300])
async def test_many_nodes_are_looked_through_sideways(
    make_app: MakeApp, count: int, size: tuple[int, int]
) -> None:
    app = many_app(make_app, count)
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        assert isinstance(app.view, CompatScreen)
        table = app.view.table
        first, end = table.seen
        assert (f"<1-{end} of {count}>" in text) is (end < count)
        await pilot.press("right")
        assert (table.column, table.seen) == (1, (first, end))
        for _ in range(count // (end - first) + 1):
            await pilot.press("greater_than_sign")
        text = await settled(pilot)
        assert (table.column, table.seen[1]) == (count - 1, count)
        assert f"on plant-7-cam-{count - 1:03d}: " in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        # Every image was asked about once, and not all of one node.
        looked = [image for c in fleet_of(app).clients.values() for image in c.looked]
        assert sorted(looked) == [(tag, False) for tag in [*NEEDS, "web:1"]]


async def test_only_what_cannot_run_somewhere(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("down", "d")
        text = await settled(pilot)
        assert [row.split()[0].lstrip(">") for row in rows_in(text)[:3]] == list(NEEDS)
        assert "web:1" not in text
        assert text.splitlines()[2].split() == ["a10", "far", "h200", "t4"]
        assert " cannot run " in text.splitlines()[1]
        assert "1/5" in text  # it counts all nodes still
        await pilot.press("escape")
        assert "web:1" in await settled(pilot)


async def test_filter_labels_and_sort(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("F")
        assert rows_in(await settled(pilot))[0].startswith(">app:1")
        await pilot.press("R")
        assert rows_in(await settled(pilot))[0].startswith(">web:1 4/5")
        await pilot.press("C")
        assert rows_in(await settled(pilot))[0].startswith(">app:13 ")
        await pilot.press("slash", *"app:11", "enter")
        text = await settled(pilot)
        assert rows_in(text)[0].startswith(">app:11 ")
        assert "app:12" not in text
        await pilot.press("escape", "slash", "minus", "l", "space", *"site=lab".replace("=", ""))
        await pilot.press("escape")
        await type_command(pilot, "compat site=lab")
        text = await settled(pilot)
        assert text.splitlines()[2].split() == ["a10", "far", "t4"]
        assert "app:11 3/3" in rows_in(text)[2]


async def test_labels_choose_columns_and_rows_stay(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    for name, client in fleet_of(app).clients.items():
        client.held = client.held if name == "h200" else []
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"-l site", "equals_sign", *"lab", "enter")
        text = await settled(pilot)
        assert text.splitlines()[2].split() == ["a10", "far", "t4"]
        rows = rows_in(text)
        assert rows[1].endswith("cannot cannot 2h cannot")
        assert "  it does not have it" in text


async def test_marked_variants_say_which_one_a_node_gets(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("space", "space", "space")
        assert " best   app:11, of the marked ones" in await settled(pilot)
        await pilot.press("right", "right")
        assert " best   app:13, of the marked ones" in await settled(pilot)
        await pilot.press("enter")
        assert "Best of the marked ones: app:13 can run" in await settled(pilot)


async def test_an_image_that_differs_is_judged_by_the_nodes_own(make_app: MakeApp) -> None:
    nodes = [able_node("a10", A10), able_node("h200", H200)]
    app = compat_app(make_app, nodes=nodes)
    clients = fleet_of(app).clients
    clients["h200"].held = [make_image("app:11", 2)]
    clients["h200"].needs["app:11"] = cuda("13.0.0")
    async with app.run_test(size=(120, 30)) as pilot:
        assert rows_in(await settled(pilot))[0].endswith(">runs runs")
        await pilot.press("right", "enter")
        assert "app:11 is 2 different images" in await settled(pilot)


async def test_an_image_that_nobody_can_say_anything_of(make_app: MakeApp) -> None:
    app = compat_app(make_app, nodes=[able_node("a10", A10)])
    client = fleet_of(app).clients["a10"]
    answers = client.image_needs
    refused = ProblemError("image.not_found", "its config is gone", hint="Load it again.")

    async def fail_for_one(image: str, *, inside: bool = False) -> object:
        if image == "app:11":
            raise refused
        return await answers(image, inside=inside)

    client.image_needs = fail_for_one  # type: ignore[assignment, method-assign]
    async with app.run_test(size=(120, 30)) as pilot:
        text = await settled(pilot)
        assert rows_in(text)[0].endswith(">unknown")
        assert " why    its config is gone" in text
        assert " do     Load it again." in text


async def test_looking_inside_is_for_operators_and_asked_for(make_app: MakeApp) -> None:
    app = compat_app(make_app, nodes=[able_node("a10", A10)])
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("v")
        await settled(pilot)
        await pilot.press("enter")
        assert "into its layers" in await settled(pilot)
        assert fleet_of(app).clients["a10"].looked[-1] == ("app:11", True)
    app = compat_app(make_app, nodes=[able_node("a10", A10)], read_only=True)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("v")
        assert "read-only" in await settled(pilot)
        assert not any(inside for _, inside in fleet_of(app).clients["a10"].looked)


def make_cuda_archive(folder: Path) -> Path:
    file = folder / "vision.tar"
    image = Made([layer("base")], tags=("vision:2",))
    words = json.loads(image.config)
    words["config"]["Env"] = ["CUDA_VERSION=12.4.1", "NVIDIA_VISIBLE_DEVICES=all"]
    image.config = as_json(words)
    file.write_bytes(docker_archive([image]))
    return file


async def test_an_archive_of_this_machine_is_judged_too_and_left_out_again(
    make_app: MakeApp, tmp_path: Path
) -> None:
    make_cuda_archive(tmp_path)
    app = compat_app(make_app, compat=compat_of(tmp_path))
    app.context.pushes.folder = str(tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await settled(pilot)
        await pilot.press(*"vision.tar", "enter")
        text = await settled(pilot)
        row = rows_in(text)[3]
        assert row.startswith(">vision:2 (file) 1/5 ")
        assert row.endswith(" file>cannot cannot 2h runs unknown cannot")
        await pilot.press("enter")
        text = await settled(pilot)
        assert "vision.tar" in text
        assert "into its layers" in text
        await pilot.press("escape", "x")
        text = await settled(pilot)
        assert "vision:2" not in text
        assert "1 archive left out" in text
        await pilot.press("x")
        assert "Only archives" in await settled(pilot)


async def test_an_archive_that_is_none(make_app: MakeApp, short_folder: Path) -> None:
    (short_folder / "bad.tar").write_bytes(b"no archive at all")
    app = compat_app(make_app, compat=compat_of(short_folder))
    app.context.pushes.folder = str(short_folder)  # its name is shown on one line
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await settled(pilot)
        await pilot.press(*"bad.tar", "enter")
        while "archive." not in (text := await settled(pilot)):
            await pilot.pause(0.05)  # it is read in a thread
        assert "bad.tar" in text


async def test_tables_of_the_operator_that_are_wrong_are_named(
    make_app: MakeApp, tmp_path: Path
) -> None:
    (tmp_path / "compatibility.json").write_text("{]")
    app = compat_app(make_app, compat=compat_of(tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        while "compatibility.tables" not in screen_text(app):
            await pilot.pause(0.02)
        await pilot.press("escape")
        assert "not been asked yet" in await settled(pilot)


async def test_the_operators_tables_decide(make_app: MakeApp, tmp_path: Path) -> None:
    rows = '[{"capability": "8.6", "remove": true}]'
    (tmp_path / "compatibility.json").write_text(f'{{"gpu_architectures": {rows}}}')
    app = compat_app(make_app, nodes=[able_node("a10", A10)], compat=compat_of(tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        assert rows_in(await settled(pilot))[0].endswith(">unknown")


async def test_from_images_with_the_same_nodes_and_to_a_file(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = compat_app(make_app, first="images site=lab")
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("y")
        assert "compat site=lab" in await settled(pilot)
        await pilot.press("e", "enter")
        await settled(pilot)
    table = saved_in(tmp_path)
    assert table[0][-4:-1] == ["@a10", "@far", "@t4"]
    assert table[2][-4:-1] == ["cannot", "cannot as of 2h ago", "cannot"]


def saved_in(folder: Path) -> list[list[str]]:
    [file] = folder.glob("*.csv")
    return list(csv.reader(file.read_text().splitlines()))


async def test_a_terminal_that_knows_ascii_only(make_app: MakeApp) -> None:
    app = compat_app(make_app, glyphs=ASCII)
    async with app.run_test(size=(60, 16)) as pilot:
        text = await settled(pilot)
    assert text.isascii()
    assert ">runs" in text


async def test_without_any_image(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    for client in fleet_of(app).clients.values():
        client.held = []
    async with app.run_test(size=(80, 24)) as pilot:
        assert "a adds an archive" in await settled(pilot)
        await pilot.press("enter", "u", "right", "x")
        assert table_of(app).current is None
        await settled(pilot)


def test_nodes_of_all_kinds_have_their_states() -> None:
    assert [view.state for view in nodes_of_all_kinds()] == [
        *("live", "offline", "live", "connecting", "live"),
    ]
