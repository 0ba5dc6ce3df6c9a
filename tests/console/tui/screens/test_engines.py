"""TensorRT engines: across the fleet, one model's on a node, and a build."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.engine_figures import GraphLatency
from agent.protocol.engines import Engine, Stale
from agent.protocol.problems import Problem, ProblemError
from console.tui.app import RoostApp
from console.tui.screens.build import BuildScreen
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_engines import LIKE, FakeEngines, latency, make_bench, make_engine
from tests.console.tui.fakes import A10, NOW, T4, make_node, put_job
from tests.console.tui.screens.test_jobs import lines
from tests.console.tui.showing import fleet_of, settled, table_of, type_command

pytestmark = pytest.mark.timeout(60)

AWAY = ProblemError("link.unreachable", "d: no route to host", hint="Is it on?")
DRIVER = Stale(what="driver", rebuild=False, text="driver 535.183.01 then, 580.95.05 now")
MODEL = Stale(what="model", rebuild=True, text="/srv/models/reader.onnx is another file now")
NO_ROOM = Problem(code="engine.failed", title="Failed", status=500, detail="no tactic fits")


def stale(engine: Engine, *why: Stale) -> Engine:
    return msgspec.structs.replace(engine, stale=list(why))


def engines_app(
    make_app: MakeApp, first: str = "engines", *, read_only: bool = False, running: bool = True
) -> RoostApp:
    """a has two models, one of them being built again; gate one that never was tried; d is off."""
    a, gate = make_node("a", A10, 2), make_node("gate", T4, production=True)
    away = make_node("d", A10, state="offline", seen_ago=7200, problem=AWAY)
    if running:
        put_job(
            a,
            "b1",
            ago=40,
            kind="engine.build",
            subject="detector",
            alike=LIKE,
            stage="building",
            unit="items",
            done=430,
            total=1000,
        )
    put_job(a, "b2", "failed", ago=600, kind="engine.build", subject="pose", problem=NO_ROOM)
    app = make_app([a, away, gate], first=first, read_only=read_only)
    here = engines_of(app)
    here.held += [
        make_engine(),
        make_engine(number=3, current=False),
        stale(make_engine("pose", 5), DRIVER),
        stale(make_engine("reader", 40), MODEL, DRIVER),
    ]
    there = engines_of(app, "gate")
    untried = "there is no GPU here to try it on"
    there.held.append(
        make_engine(
            current=False, verification="header", verification_reason=untried, check=None, number=9
        )
    )
    return app


def engines_of(app: RoostApp, node: str = "a") -> FakeEngines:
    return fleet_of(app).clients[node].engines


def shown(app: RoostApp) -> list[str]:
    return [row.key for row in table_of(app).model.shown]


async def test_a_row_for_each_model_and_node(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
        assert shown(app) == ["a/detector", "gate/detector", "a/pose", "a/reader", "d/"]
        rows = {
            row.key: " ".join(cell.wide or cell.text for cell in row.cells)
            for row in table_of(app).model.shown
        }
        assert "building 43%" in rows["a/detector"]
        assert "fp16 ran 11.4 ms of 8 TensorRT 10.13.2.6 NVIDIA A10 1d 48M 2" in rows["a/detector"]
        assert "not in use" in rows["gate/detector"]
        assert "there is no GPU here to try it on" in rows["gate/detector"]
        assert "in use, try" in rows["a/pose"]
        assert "the last build failed: no tactic fits" in rows["a/pose"]
        assert "in use, old" in rows["a/reader"]
        assert "another file now; driver 535" in rows["a/reader"]
        assert "no route to host" in rows["d/"]
    assert "1 did not answer" in text


@pytest.mark.parametrize("size", [(60, 14), (80, 24)])
async def test_it_fits_a_small_terminal(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        assert "building 43%" in text
        assert "fp16" in text
        assert "1-5 of 5" in text


async def test_all_engines_of_a_model_and_all_about_one(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    engines_of(app).held[0].manifest.shared_from = "cam-01"
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert app.view.crumb == "engine @a detector"
        assert shown(app) == [make_engine().manifest.key, make_engine(number=3).manifest.key]
        assert "in use" in text
        assert "kept" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert make_engine().manifest.key in text
        assert "batch 8: p50 11.4 ms, p99 13.7 ms, 701 a second" in text
        assert "images [1, 3, 640, 640] to [16, 3, 640, 640]" in text
        assert "from      cam-01, which had its plan" in text


async def test_an_engine_that_was_tried_as_a_graph(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    check = engines_of(app).held[0].manifest.check
    assert check is not None
    figures = GraphLatency(p50_ms=9.1, p99_ms=9.9, mean_ms=9.2, throughput=870.0)
    check.latencies[0].graph = figures
    check.latencies += [
        msgspec.structs.replace(check.latencies[0], graph=None, no_graph="it waits")
    ]
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert "as graph  batch 1: p50 9.1 ms, p99 9.9 ms, 870 a second" in text
        assert "as graph  batch 1: not possible: it waits" in text


async def test_what_a_node_said_that_is_away(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("end", "enter")
        assert "no route to host" in await settled(pilot)


async def test_building_again_asks_first(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("end", "up", "a")  # reader
        text = await settled(pilot)
        assert "Build engine reader on a?" in text
        assert "/srv/models/reader.onnx" in text
        assert "took 5m, with TensorRT 10.13.2.6" in text
        assert ">[ Cancel ]" in text
        await pilot.press("enter")
        await settled(pilot)
        assert engines_of(app).built == []
        await pilot.press("a", "tab", "enter")
        assert "engine reader is queued as new3: b shows it on a" in await settled(pilot)
    (request,) = engines_of(app).built
    assert request == make_engine("reader", 40).again(rebuild=True)


async def test_on_production_the_node_has_to_be_typed(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engines @gate")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "Type gate to go on:" in await settled(pilot)
        await pilot.press(*"gate", "enter")
        assert "is queued as" in await settled(pilot)


async def test_one_that_was_imported_has_no_recipe(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engines @a")
    held = engines_of(app).held
    held[:] = [make_engine("alien")]
    held[0].manifest.parts.recipe = None
    async with app.run_test(size=(80, 24)) as pilot:
        assert "imported" not in await settled(pilot)  # no room for the whole word
        await pilot.press("home", "a")
        assert "It was imported, and has no recipe" in await settled(pilot)
        await type_command(pilot, "engine @a alien")
        await pilot.press("enter")
        text = await settled(pilot)
        assert "for       NVIDIA A10" in text
        assert "onnx" not in text


async def test_a_build_shows_how_far_it_is_and_how_long_it_takes(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    fleet_of(app).clients["a"].job_lines = lines(3)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("b")
        await settled(pilot)
        assert isinstance(app.view, BuildScreen)
        app.view._paint_now()
        text = await settled(pilot)
        assert "phases    looking (done) \u203a [building] \u203a keeping" in text
        assert "\u2588" * 17 + "\u2581" * 23 + " 43%" in text
        assert "about 4m of building:" in text
        assert "took 5m on a 1d ago, with TensorRT 10.13.2.6" in " ".join(text.split())
        assert "layer 3 is here" in text
        await pilot.press("x", "tab", "enter")
        assert "engine.build of detector is cancelling on a" in await settled(pilot)
    assert fleet_of(app).clients["a"].asked == [("cancel", "b1")]


async def test_a_build_is_opened_from_jobs_too(make_app: MakeApp) -> None:
    app = engines_app(make_app, "jobs @a")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.crumb == "build a/b1"


async def test_the_time_of_a_build_that_is_like_no_other_is_not_known(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engines @a")
    engines_of(app).held[:] = []
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "building 43%" in text  # of a model that has no engine yet
        await pilot.press("enter")
        text = await settled(pilot)
        assert "left      not known: none was built alike (recipe, TensorRT, GPU)" in text


async def test_a_node_is_asked_again_when_its_builds_move(make_app: MakeApp) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = engines_of(app).lists
        record = fleet_of(app).nodes["a"].sections["jobs"]["b1"]
        record.update(state="succeeded", ended_at=NOW)
        fleet_of(app).changed.add("a")
        app.tick()
        text = await settled(pilot)
        assert engines_of(app).lists == before + 1
        assert engines_of(app, "gate").lists == 1
        assert "building" not in text


async def test_a_first_build_that_failed_is_seen(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engines @a")
    a = fleet_of(app).nodes["a"]
    put_job(a, "b9", "failed", ago=60, kind="engine.build", subject="fresh", problem=NO_ROOM)
    put_job(a, "b8", "succeeded", ago=90, kind="engine.build", subject="gone")
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        assert shown(app) == ["a/detector", "a/fresh", "a/pose", "a/reader"]
        fresh = table_of(app).model.shown[1]
        assert fresh.cells[2].text == "failed"
        await pilot.press("home", "down")
        assert " the last build failed: no tactic fits\n" in await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.view.crumb == "build a/b9"


async def test_nothing_to_look_at(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engines @gate")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("b")
        assert "tells of no build of it" in await settled(pilot)


@pytest.mark.parametrize("command", ["engine", "engine @a", "engine @nowhere detector"])
async def test_an_engine_without_a_name(make_app: MakeApp, command: str) -> None:
    app = engines_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Type :engine @NODE" in await type_command(pilot, command)


async def test_from_the_fleet_and_from_a_node(make_app: MakeApp) -> None:
    app = engines_app(make_app, "fleet")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        assert app.view.crumb == "engines @a"
        await type_command(pilot, "node gate")
        await pilot.press("n")
        await settled(pilot)
        assert app.view.crumb == "engines @gate"


async def test_read_only_refuses(make_app: MakeApp) -> None:
    app = engines_app(make_app, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "a again" not in await settled(pilot)
        await pilot.press("a")
        assert "This console is read-only: no again here." in await settled(pilot)


def test_the_latency_of_the_size_that_it_is_tuned_for() -> None:
    from console.engines.words import milliseconds, tuned_latency

    engine = make_engine()
    found = tuned_latency(engine)
    assert found is not None
    assert found.batch == 8
    only = make_engine(check={"state": "ran", "latencies": [latency(2, 3.0)]})
    first = tuned_latency(only)
    assert first is not None
    assert first.batch == 2
    assert tuned_latency(make_engine(check=None)) is None
    assert [milliseconds(each) for each in (0.8213, 8.06, 120.4)] == ["0.82 ms", "8.1 ms", "120 ms"]


async def test_trying_again_and_using_another(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engine @a detector")
    old = make_engine(number=3).manifest.key
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        assert "It is in use already." in await settled(pilot)
        await pilot.press("x")
        assert "The one in use is not removed here" in await settled(pilot)
        await pilot.press("down", "u")
        assert f"Use detector {old[:12]} on a?" in await settled(pilot)
        await pilot.press("tab", "enter")
        assert f"detector {old[:12]} is in use on a" in await settled(pilot)
        assert [row.cells[1].text for row in table_of(app).model.shown] == ["kept", "in use"]
        await pilot.press("home", "v", "tab", "enter")
        assert "the trial of engine detector is queued" in await settled(pilot)
        await pilot.press("x", "tab", "enter")
        await settled(pilot)
        assert shown(app) == [old]
    new = make_engine().manifest.key
    assert engines_of(app).asked == [("use", old), ("verify", new), ("remove", new)]


async def test_what_the_builder_printed(make_app: MakeApp) -> None:
    app = engines_app(make_app, "engine @a detector")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("l")
        text = await settled(pilot)
        assert "log of detector" in text
        assert "parsed" in text


def bench_app(make_app: MakeApp, first: str = "bench @a detector") -> RoostApp:
    """The detector was measured on a; a bench of it is under way."""
    app = engines_app(make_app, first)
    engines_of(app).measured += [make_bench("other"), make_bench()]
    a = fleet_of(app).nodes["a"]
    put_job(a, "m2", ago=4, kind="engine.bench", subject="detector", stage="fp16 16, 7 of 8")
    return app


async def test_latency_over_batch_size(make_app: MakeApp) -> None:
    app = bench_app(make_app, "engines")
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        text = await settled(pilot)
        assert app.view.crumb == "bench @a detector"
        best = next(line for line in text.splitlines() if " best " in line)
        assert best.split()[:3] == ["best", "fp16", "4"]
        slow = next(row for row in table_of(app).model.shown if row.key == "model/8")
        # 32 ms of 40: four fifths of the bar, thin up to the 99th percentile, the bound at a half.
        assert slow.cells[3].wide == "\u2588" * 20 + "|" + "\u2588" * 11 + "\u2581" * 8
        assert slow.cells[10].text == "slower than the bound"
        assert "measuring: fp16 16, 7 of 8" in text
        await pilot.press("end")
        assert "no GPU memory for it" in await settled(pilot)
        await pilot.press("up", "enter")
        assert "It was measured" in await settled(pilot)


async def test_what_was_measured_as_a_graph_has_rows_of_its_own(make_app: MakeApp) -> None:
    app = bench_app(make_app)
    bench = engines_of(app).measured[-1]
    quick, none = bench.rows[2], bench.rows[3]  # model/8, of 32 ms, and fp16/1
    quick.graph = GraphLatency(p50_ms=8.0, p99_ms=10.0, mean_ms=8.0, throughput=1000.0)
    none.no_graph = "it waits amid a run"
    bench.recommended, bench.recommended_graph, bench.cuda_graphs = 2, True, True
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        words = [line.split() for line in text.splitlines()]
        assert shown(app)[2:6] == ["model/8", "model/8/graph", "fp16/1", "fp16/1/graph"]
        assert next(line for line in words if "best" in line)[:4] == ["best", "as", "graph", "8"]
        rows = {row.key: row for row in table_of(app).model.shown}
        # 8 ms of 40, thin up to the 99th percentile, the bound at a half.
        graph = rows["model/8/graph"].cells
        assert graph[3].wide == ("\u2588" * 8 + "\u2581" * 2).ljust(20) + "|" + " " * 19
        assert [cell.text for cell in graph[4:7]] == ["8.0 ms", "10.0 ms", "1000"]
        assert graph[10].text == ""
        assert rows["model/8"].cells[0].text == ""
        assert rows["model/8"].cells[10].text == "slower than the bound"
        await pilot.press(*["down"] * 5, "enter")
        assert "it waits amid a run" in await settled(pilot)


async def test_measuring_asks_first(make_app: MakeApp) -> None:
    app = bench_app(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        text = await settled(pilot)
        assert "Measure engine detector on a?" in text
        assert "1, 4, 8, 16" in text
        await pilot.press("tab", "enter")
        assert "bench of detector is queued" in await settled(pilot)
        (request,) = engines_of(app).benched
        assert (request.batches, request.precisions) == ([1, 4, 8, 16], ["fp16"])
        text = await type_command(pilot, "bench @a nothing")
        assert "nothing was not measured here yet: a measures it" in text
        await pilot.press("a")
        assert "There is no engine with a recipe" in await settled(pilot)
