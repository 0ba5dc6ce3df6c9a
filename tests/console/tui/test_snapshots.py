"""The screens as they look, on a fixed clock. `pytest --snapshot-update` takes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from console.rollouts.locks import steering_lock
from console.tui.look.glyphs import ASCII
from console.tui.rollouts import Rollouts
from console.tui.screens.build import BuildScreen
from tests.console.tui.compat_app import compat_app
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_carrier import MIB, REFUSED, make_archive, make_plan
from tests.console.tui.fake_desk import FakeDesk, judge, judged, keep, make_rollout
from tests.console.tui.fakes import some_log
from tests.console.tui.screens.test_engines import bench_app, engines_app
from tests.console.tui.screens.test_images import image_app, many_app
from tests.console.tui.screens.test_jobs import busy_nodes, lines
from tests.console.tui.screens.test_placement import varied_app
from tests.console.tui.screens.test_push import begin, push_app
from tests.console.tui.screens.test_rollouts import many
from tests.console.tui.showing import fleet_of, settled, type_command


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("command", ["fleet", "node cam-xid"])
async def test_every_size(
    make_app: MakeApp, snapshot: SnapshotAssertion, command: str, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        assert await type_command(pilot, command) == snapshot


@pytest.mark.parametrize("command", ["containers", "gpus", "doctor"])
async def test_across_the_fleet(
    make_app: MakeApp, snapshot: SnapshotAssertion, command: str
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        assert await type_command(pilot, command) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_jobs(make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]) -> None:
    app = make_app(busy_nodes(), first="jobs")
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot


async def test_a_job(make_app: MakeApp, snapshot: SnapshotAssertion) -> None:
    app = make_app(busy_nodes())
    fleet_of(app).clients["a"].job_lines = lines(30)
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "job @a j2")
        await pilot.pause(0.3)
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("command", ["images", "image web:1"])
async def test_images(
    make_app: MakeApp, snapshot: SnapshotAssertion, command: str, size: tuple[int, int]
) -> None:
    app = image_app(make_app, command)
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_images_of_many_nodes(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    app = many_app(make_app, 25)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("end", *["greater_than_sign"] * 4)
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_push(
    make_app: MakeApp, snapshot: SnapshotAssertion, tmp_path: Path, size: tuple[int, int]
) -> None:
    make_archive(tmp_path)
    app, carrier = push_app(make_app, tmp_path)
    carrier.plans["gate"] = make_plan(problem=REFUSED)
    async with app.run_test(size=size) as pilot:
        assert await begin(pilot, "site") == snapshot
        await pilot.press(*"push", "space", "2", "enter")
        await settled(pilot)
        carrier.pushers["a"].set(done_bytes=5 * MIB, bytes_per_second=1.0 * MIB, seconds_left=90.0)
        carrier.pushers["b"].go_on.set()
        await settled(pilot)
        app.tick()
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_placement(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    """As it is, and with a container that is held over another GPU."""
    app = varied_app(make_app)
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot
        await pilot.press("down", "m", "down")
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_pin(make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]) -> None:
    """The window with the GPUs, then what would happen."""
    app = varied_app(make_app, "containers")
    fleet_of(app).clients["cam"].workloads.lost.append("a link to db, which is gone")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("a", "down", "down", "down")
        assert await settled(pilot) == snapshot
        await pilot.press("enter")
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_workloads(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    """The table, then one's history."""
    app = varied_app(make_app, "workloads")
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot
        await pilot.press("enter")
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_engines(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    """The table, one model's engines, then one of them."""
    app = engines_app(make_app)
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot
        await pilot.press("enter")
        assert await settled(pilot) == snapshot
        await pilot.press("enter")
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_build(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    app = engines_app(make_app)
    fleet_of(app).clients["a"].job_lines = lines(30)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await type_command(pilot, "build @a b1")
        assert isinstance(app.view, BuildScreen)
        app.view._paint_now()
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_bench(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    app = bench_app(make_app)
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_rollouts(
    make_app: MakeApp, snapshot: SnapshotAssertion, tmp_path: Path, size: tuple[int, int]
) -> None:
    """The list, one rollout, what aborting it would do."""
    desk = FakeDesk(tmp_path)
    rollout = make_rollout(
        waves=[
            ["done"],
            ["canary", "canary", "stuck"],
            ["offline", "planned", "planned", "planned"],
        ]
    )
    keep(desk, make_rollout("00old000", [["done"] * 30], state="done", prefix="o"), rollout)
    judge(desk, rollout, "n2-0", judged())
    app = make_app(first="rollouts", rollouts=Rollouts(desk))
    with steering_lock(desk.journal().folder, rollout.id):
        async with app.run_test(size=size) as pilot:
            assert await settled(pilot) == snapshot
            await pilot.press("enter")
            assert await settled(pilot) == snapshot
            await pilot.press("x")
            assert await settled(pilot) == snapshot


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_rollout_of_500_nodes(
    make_app: MakeApp, snapshot: SnapshotAssertion, tmp_path: Path, size: tuple[int, int]
) -> None:
    desk = FakeDesk(tmp_path)
    keep(desk, many())
    app = make_app(first="rollout", rollouts=Rollouts(desk))
    async with app.run_test(size=size) as pilot:
        assert await settled(pilot) == snapshot


async def test_a_question(make_app: MakeApp, snapshot: SnapshotAssertion) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "node gate-1")
        await pilot.press("x")
        assert await settled(pilot) == snapshot


async def test_a_log(make_app: MakeApp, snapshot: SnapshotAssertion) -> None:
    app = make_app()
    fleet_of(app).clients["gate-1"].log = some_log(100)
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "logs @gate-1 detector")
        await pilot.pause(0.3)
        assert await settled(pilot) == snapshot


async def test_ascii(make_app: MakeApp, snapshot: SnapshotAssertion) -> None:
    app = make_app(glyphs=ASCII)
    async with app.run_test(size=(80, 24)) as pilot:
        assert await type_command(pilot, "node gate-1") == snapshot


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 50)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_compat(
    make_app: MakeApp, snapshot: SnapshotAssertion, size: tuple[int, int]
) -> None:
    app = compat_app(make_app)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("down", *["right"] * 4)
        assert await settled(pilot) == snapshot
        await pilot.press("enter")
        assert await settled(pilot) == snapshot
        await pilot.press("escape", "asterisk", "u")
        assert await settled(pilot) == snapshot
