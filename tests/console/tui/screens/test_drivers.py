"""Which driver nodes would need: the plan for the chosen images."""

from __future__ import annotations

import pytest

from tests.console.tui.compat_app import able_node, compat_app, cuda
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10
from tests.console.tui.showing import fleet_of, settled, type_command

pytestmark = pytest.mark.timeout(60)


def rows_in(text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    head = next(n for n, line in enumerate(lines) if line.startswith("NODE"))
    return lines[head + 1 :]


async def test_the_plan_for_the_image_under_the_cursor(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("down", "u")
        text = await settled(pilot)
        assert rows_in(text)[:5] == [
            ">new -- unknown --",
            "a10 535.183.01 550.54.14 R580, until 2028-06 app:12 runs",
            "far 470.256.02 550.54.14 R580, until 2028-06 2h app:12 runs",
            "t4 470.256.02 550.54.14 R580, until 2028-06 app:12 runs",
            "h200 PROD 580.65.06 none",
        ]
        assert " 3 nodes to upgrade, 1 fine, 1 unknown  for app:12" in text
        await pilot.press("enter")
        assert "Nothing is known of new" in await settled(pilot)
        await pilot.press("down", "enter")
        text = await settled(pilot)
        assert "Driver of a10" in text
        assert "app:12  cannot; with the driver: runs" in text
        await pilot.press("escape", "escape")
        assert "app:12 on a10" in await settled(pilot)


async def test_the_plan_for_all_that_are_marked_and_what_no_driver_mends(
    make_app: MakeApp,
) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("asterisk", "u")
        text = await settled(pilot)
        assert "a10 535.183.01 580.65.06 R580" in rows_in(text)[1]
        assert rows_in(text)[4].startswith("h200 PROD 580.65.06 none helps")
        assert "1 that no driver helps" in text
        assert "and 1 other" in text


async def test_the_driver_without_warnings(make_app: MakeApp) -> None:
    app = compat_app(make_app, nodes=[able_node("a10", A10)])
    needs = cuda("12.6.3", requires={"NVIDIA_REQUIRE_CUDA": "cuda>=12.0"})
    fleet_of(app).clients["a10"].needs["app:12"] = needs
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("down", "u")
        assert rows_in(await settled(pilot))[0].startswith(">a10 535.183.01 none")
        await pilot.press("w")
        text = await settled(pilot)
        assert rows_in(text)[0].startswith(">a10 535.183.01 560.28.03")
        assert "without warnings" in text


async def test_typed_without_having_been_to_compat(make_app: MakeApp) -> None:
    app = compat_app(make_app, first="fleet")
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        text = await type_command(pilot, "drivers @t4")
        assert rows_in(text)[0].startswith(">t4 470.256.02 580.65.06")
        assert "1 node to upgrade" in text


async def test_facts_that_change_are_planned_anew(make_app: MakeApp) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("down", "u")
        assert "3 nodes to upgrade" in await settled(pilot)
        fleet = fleet_of(app)
        facts = fleet.nodes["t4"].sections["facts"]
        stack = {**facts[""]["gpu_stack"], "driver_version": "580.65.06", "cuda_version": "13.0"}
        facts[""] = {**facts[""], "gpu_stack": stack}
        fleet.changed.add("t4")
        app.tick()
        assert "2 nodes to upgrade" in await settled(pilot)
