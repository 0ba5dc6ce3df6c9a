"""Containers and GPUs across the fleet."""

from __future__ import annotations

from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10, H200, make_node
from tests.console.tui.showing import fleet_of, settled, table_of


async def test_containers_of_all_nodes(make_app: MakeApp) -> None:
    nodes = [make_node("a", containers=5), make_node("b", state="stale", seen_ago=200)]
    app = make_app(nodes, first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
    assert "1-8 of 8" in text
    exporter = next(line for line in text.splitlines() if "exporter" in line)
    assert "exited 137" in exporter
    old = [line for line in text.splitlines() if line.startswith(" b ")]
    assert len(old) == 3
    assert all(line.endswith("3m") for line in old)


async def test_a_row_tells_health_gpus_and_image(make_app: MakeApp) -> None:
    node = make_node("a", A10, 2, containers=1)
    container = next(iter(node.sections["containers"].values()))
    container["health"] = "unhealthy"
    container["gpus"] = ["GPU-a-1", "GPU-4711aaaa-bbbb"]
    app = make_app([node], first="containers")
    async with app.run_test(size=(120, 24)) as pilot:
        line = (await settled(pilot)).splitlines()[3]
    assert "running, unhealthy" in line
    assert "1,4711" in line
    assert "detector:1.0.0" in line


async def test_d_and_l_on_a_container(make_app: MakeApp) -> None:
    app = make_app([make_node("a", containers=1)], first="containers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)
        assert app.view.crumb == "doctor @a"
        await pilot.press("escape", "l")
        await settled(pilot)
        assert app.view.crumb == "logs a/detector"


async def test_gpus_of_all_nodes(make_app: MakeApp) -> None:
    app = make_app([make_node("a", A10), make_node("b", H200, 2, production=True)], first="gpus")
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).set_gpu("b", 1, state="lost", reason="fell off the bus", power_watts=None)
        fleet_of(app).set_gpu("a", 0, throttle=["sw_thermal"], unknown={"power_watts": "no_nvml"})
        app.tick()
        lines = (await settled(pilot)).splitlines()
        assert "PROD" in lines[4]
        assert "lost" in lines[5]
        assert "fell off th" in lines[5]
        assert "--" in lines[5]
        assert "slowed" in lines[3]
        assert "slowed by s" in lines[3]
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.crumb == "a"


async def test_gpus_sort_by_heat(make_app: MakeApp) -> None:
    app = make_app([make_node("a", celsius=50), make_node("b", celsius=80)], first="gpus")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("T")
        await settled(pilot)
        assert [row.group for row in table_of(app).model.shown] == ["b", "a"]


async def test_a_node_without_containers_blames_no_filter(make_app: MakeApp) -> None:
    nodes = [make_node("a", containers=2), make_node("b", containers=0)]
    app = make_app(nodes, first="containers @b")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
        assert "no containers here" in lines[3]
        await pilot.press("slash", *"zzz", "enter")
        assert "nothing matches: Esc clears the filter" in await settled(pilot)


async def test_a_node_whose_runtime_is_away_has_a_row(make_app: MakeApp) -> None:
    away, new = make_node("b", containers=0), make_node("c", state="connecting", seen_ago=None)
    record = away.sections["node"][""]
    record["runtime_state"], record["runtime_reason"] = "unreachable", "/run/docker.sock: refused"
    app = make_app([make_node("a", containers=1), away, new], first="containers")
    async with app.run_test(size=(120, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
        assert lines[4].split()[:5] == ["b", "--", "runtime", "unreachable", "--"]
        assert lines[5].split()[:4] == ["c", "--", "connecting", "--"]
        await pilot.press("down", "enter")
        text = await settled(pilot)
        why = "Nobody knows its containers: runtime unreachable: /run/docker.sock: refused"
        assert why in " ".join(text.replace("│", " ").split())
        assert app.view.crumb == "containers"
        await pilot.press("escape", "x")
        assert "There is no container under the cursor." in await settled(pilot)
        record["runtime_state"] = "ok"
        fleet_of(app).changed.add("b")
        app.tick()
        assert table_of(app).model.total == 2
