"""What is not as fleet.yaml expects it."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from console.fleet.inventory import Expected, Inventory
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10, T4, make_node
from tests.console.tui.showing import settled, type_command

EXPECT = Inventory(
    expect={
        "": Expected(driver=">=535,<560", persistence=True),
        "site=lab": Expected(runtime=">=20.10", gpus=4),
    }
)


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_across_the_fleet(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    app = make_app(inventory=EXPECT, first="drift")
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot


async def test_enter_says_where_it_is_expected(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", T4, labels={"site": "lab"})], inventory=EXPECT, first="drift")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert [line.split()[0].lstrip(">") for line in text.splitlines()[3:6]] == [
            "off",
            "off",
            "unknown",
        ]
        await pilot.press("F", "enter")
        text = await settled(pilot)
        assert "driver is 470" in text
        assert "It is expected of every node" in text
        await pilot.press("escape", "j", "enter")
        assert "by 'site=lab'" in await settled(pilot)


async def test_nothing_off_and_nothing_expected_are_two_things(make_app: MakeApp) -> None:
    fine = Inventory(expect={"": Expected(driver=">=1")})
    silent = make_node("new", None, state="connecting", seen_ago=None)
    app = make_app([make_node("cam", A10), silent], inventory=fine, first="drift")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "all is as expected on 1 node; 1 node never answered" in await settled(pilot)
    app = make_app([make_node("cam", A10)], first="drift")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "fleet.yaml expects nothing of any node" in await settled(pilot)


async def test_two_that_are_alike_are_told_and_not_shown(make_app: MakeApp) -> None:
    both = {"site": Expected(driver=">=1"), "gpu": Expected(driver=">=2")}
    node = make_node("cam", A10, labels={"site": "x", "gpu": "a10"})
    app = make_app([node], inventory=Inventory(expect=both))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "drift")
        assert "expect different things of driver" in text
