"""What is said of builds and benches, without a node."""

from __future__ import annotations

import io

import pytest

from agent.protocol.engine_figures import GraphLatency
from agent.protocol.engines import BuildRequest, Dla, EngineRecipe
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.cli.build_display import BuildDisplay, build_line
from console.cli.engine_bench import show
from console.cli.engine_ls import about
from console.cli.engine_options import batches, milliseconds
from console.engines.node_build import NodeBuild
from console.engines.words import built_with
from console.fleet.inventory import NodeEntry
from tests.console.tui.fake_engines import LIKE, make_bench, make_engine

REQUEST = BuildRequest(recipe=EngineRecipe(model="detector", onnx="detector.onnx"))


def build(name: str = "a", **fields: object) -> NodeBuild:
    made = NodeBuild(NodeEntry(name=name, address="unix:///x"), REQUEST)
    job = Job(
        id="b",
        kind="engine.build",
        subject="detector",
        alike=LIKE,
        state="running",
        stage="building",
        done=430,
        total=1000,
        unit="items",
        owner="o",
        created_at=0.0,
    )
    for each, value in {"stage": "under way", "job": job, **fields}.items():
        setattr(made, each, value)
    return made


def test_a_line_for_each_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    known = build(begun_at=100.0, known=[make_engine()])
    assert build_line(known) == "a detector  building  43%  about 5m left"
    assert build_line(build(), 12) == "a detector    building  43%"
    assert build_line(build(job=None)) == "a detector  connecting"
    queued = build()
    assert queued.job is not None
    queued.job.state, queued.job.reason = "queued", "gpu:1 is busy"
    assert build_line(queued) == "a detector  queued  gpu:1 is busy"
    waits = build()
    assert waits.job is not None
    waits.job.stage, waits.job.done = "waiting for GPU memory", None
    waits.job.reason = "NVIDIA A10 has 1 MiB free"
    assert build_line(waits) == "a detector  waiting for GPU memory  NVIDIA A10 has 1 MiB free"


def test_all_of_them_and_what_is_new() -> None:
    failed = build("c", stage="failed", problem=ProblemError("engine.build", "no tactic fits"))
    display = BuildDisplay([build(), build("b", stage="waiting", job=None), failed], io.StringIO())
    assert display.total() == "1 of 3 builds ended, 1 wait for their turn"
    assert display.lines(8) == ["a detector  building  43%", display.total()]
    assert display.news() == [("a detector", "building 25%"), ("c detector", "failed")]
    assert display.lines(0) == ["and 1 more", display.total()]


def test_a_table_with_what_is_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    show(make_bench())
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert rows[5][:6] == ["*", "fp16", "4", "667", "6.0", "ms"]
    assert rows[6][-5:] == ["no", "GPU", "memory", "for", "it"]
    assert out.splitlines()[-1].startswith("recommended: precision fp16, batch 4: the most items")
    assert "detector with TensorRT 10.13.2.6 on NVIDIA A10" in err


def test_a_table_with_cuda_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    bench = make_bench()
    bench.cuda_graphs = True
    graph = GraphLatency(p50_ms=0.5, p99_ms=0.75, mean_ms=0.5, throughput=2000.0)
    bench.rows[0].graph, bench.rows[1].no_graph = graph, "it waits amid a run"
    show(bench)
    head, first, second, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[5:11] == ["GRAPH", "ITEMS/S", "GRAPH", "P50", "GRAPH", "P99"]
    assert first.split()[4:14] == [
        *("250", "4.0", "ms", "5.0", "ms"),
        *("2000", "0.50", "ms", "0.75", "ms"),
    ]
    assert second.endswith("no CUDA graph: it waits amid a run")


def test_what_else_an_engine_was_built_with() -> None:
    assert built_with(make_engine()) == ""
    engine = make_engine()
    engine.manifest.parts.recipe = EngineRecipe(
        model="detector",
        onnx="/m.onnx",
        dla=Dla(core=1, gpu_fallback=True),
        sparsity=True,
        optimization_level=0,
        version_compatible=True,
        hardware_compatibility="ampere_plus",
        timing_cache=False,
    )
    assert built_with(engine) == (
        "DLA core 1, the GPU for the rest; 2:4 sparsity; optimization level 0; version-compatible;"
        " hardware compatibility ampere_plus; no timing cache"
    )
    assert f"built with:     {built_with(engine)}" in about(engine)


def test_times_and_batches() -> None:
    assert [milliseconds(text) for text in ("20ms", "1.5s", "800us", "7")] == [20, 1500, 0.8, 7]
    assert batches("1, 4,8") == [1, 4, 8]
    for wrong in ("", "0ms", "-1", "20 minutes"):
        with pytest.raises(ProblemError, match="not a time"):
            milliseconds(wrong)
    for wrong in ("", "1;4", "1,,4", "0", "x"):
        with pytest.raises(ProblemError, match="not a list"):
            batches(wrong)
