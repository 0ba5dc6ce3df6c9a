"""Measures of two real containers that hang, lie, flood and are restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.measuring.arm_watch import ArmOf
from agent.measuring.requests import Requests
from agent.measuring.sources import real_sources
from agent.measuring.workload_watch import Means, WorkloadWatch
from agent.protocol.arms import Arm, Figure, WorkloadArms
from agent.protocol.measures import ExecMeasure, Measure, PrometheusMeasure, Replay
from agent.workloads.gpu_check import GpuSeen
from tests.agent.measuring import endpoint
from tests.real.docker_engine import DockerEngine
from tests.real.python_image import WITHOUT_TENSORRT

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

BODY = b"\x00image\xff"


def run(engine: DockerEngine, name: str, *options: str) -> str:
    """Such a workload; the container's id."""
    script = Path(endpoint.__file__)
    said = engine.docker(
        "run", "--detach", f"--name={name}", "--volume", f"{script}:/endpoint.py:ro", *options,
        WITHOUT_TENSORRT, "python3", "/endpoint.py",
    )  # fmt: skip
    return said.splitlines()[-1]


def page(name: str, path: str = "/metrics", metric: str = "queue_depth", **more: Any) -> Measure:
    return PrometheusMeasure(
        **{
            "name": name,
            "port": endpoint.PORT,
            "path": path,
            "metric": metric,
            "interval": 1.0,
            "timeout": 10.0,
            **more,
        }
    )


def command(name: str, code: str, **more: Any) -> Measure:
    given = {"name": name, "command": ["python3", "-c", code], "interval": 1.0, "timeout": 20.0}
    return ExecMeasure(**{**given, **more})


async def no_look(arm: ArmOf) -> GpuSeen:
    raise AssertionError(arm)


@asynccontextmanager
async def watched(
    engine: DockerEngine,
    stable: str,
    candidate: str,
    *measures: Measure,
    replay: Replay | None = None,
) -> AsyncIterator[Callable[[], WorkloadArms]]:
    """What is told of these two containers."""
    runtime = DockerRuntime([engine.url])
    await runtime.start()
    while not {stable, candidate} <= runtime.containers().keys():  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.01)
    sources = real_sources(runtime, lambda *_: Requests())
    watch = WorkloadWatch(
        "web",
        ArmOf("stable", stable),
        ArmOf("candidate", candidate),
        means=Means(
            reader=sources.reader,
            send=sources.send,
            requests=sources.requests,
            look_inside=no_look,
            clock=time.monotonic,
            window=lambda: "1",
        ),
        measures=list(measures),
        replay=replay,
    )

    def told() -> WorkloadArms:
        watch.look(runtime.containers())
        return watch.shown()

    told()
    watch.start()
    try:
        yield told
    finally:
        await watch.stop()
        await runtime.stop()


async def until(
    told: Callable[[], WorkloadArms], holds: Callable[[Arm, Arm], bool]
) -> WorkloadArms:
    """The arms once that holds for stable and candidate."""
    while not holds((arms := told()).stable, arms.candidate):  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.02)
    return arms


async def both(engine: DockerEngine, *options: str) -> tuple[str, str]:
    """A stable and a candidate, with these options, that listen."""
    stable, candidate = run(engine, "stable"), run(engine, "candidate", *options)
    async with watched(engine, stable, candidate, page("depth")) as told:
        await until(told, lambda one, other: tried(one, well=True) and tried(other, well=True))
    return stable, candidate


def tried(arm: Arm, *, well: bool = False) -> bool:
    """Whether each of its measures was read, well or not."""
    return all(each.count or (each.errors and not well) for each in arm.measures.values())


async def test_what_hangs_lies_or_floods_is_an_error_and_delays_no_other(
    engine: DockerEngine,
) -> None:
    measures = [
        page("depth"),
        page("frames", metric="frames_total", read="rate"),
        page("nan", "/nan"),
        page("infinite", "/infinite"),
        page("garbage", "/garbage"),
        page("lies", "/lies"),
        page("big", "/big"),
        page("hangs", "/hang", timeout=1.0),
        page("drips", "/drips", timeout=1.0),
        page("broken", "/broken"),
        page("missing", "/missing"),
        page("refused", port=81),
    ]
    stable, candidate = await both(engine)
    async with watched(engine, stable, candidate, *measures) as told:
        arms = await until(
            told,
            lambda one, other: (
                tried(one)
                and tried(other)
                and min(
                    each.measures[name].count
                    for each in (one, other)
                    for name in ("depth", "frames")
                )
                >= 2
            ),
        )
        for arm in (arms.stable, arms.candidate):
            found = arm.measures
            assert found["depth"].last == 3.0
            assert (found["frames"].last or 0) > 0
            assert (found["depth"].errors, found["depth"].unknown) == (0, None)
            bad = {name: each for name, each in found.items() if name not in ("depth", "frames")}
            assert {
                name for name, each in bad.items() if each.count or each.last is not None
            } == set()
            words: dict[str, str] = {
                "nan": "is nan",
                "infinite": "is inf",
                "garbage": "has no queue_depth",
                "lies": "is there twice",
                "big": "longer than 1048576 bytes",
                "hangs": "no answer within 1 s",
                "drips": "no answer within 1 s",
                "broken": "GET :8000/broken",
                "missing": "answered 404",
                "refused": "connection refused",
            }
            for name, part in words.items():
                assert part in (bad[name].unknown or ""), name


async def test_numbers_of_commands(engine: DockerEngine) -> None:
    measures = [
        command("accuracy", "import sys; print('warm'); print(0.93); print('!', file=sys.stderr)"),
        command("words", "print('fine')"),
        command("nothing", "pass"),
        command("nan", "print('nan')"),
        command("fails", "import sys; print(0.9); sys.exit('no model')"),
        command("floods", "print('x' * 100_000); print(1)", limit_bytes=1000),
        command("hangs", "import time; time.sleep(3600)", timeout=1.0),
        ExecMeasure(name="lacks", command=["/nowhere"], interval=1.0),
    ]
    stable, candidate = await both(engine)
    async with watched(engine, stable, candidate, *measures) as told:
        arms = await until(
            told,
            lambda one, other: tried(one) and tried(other) and hung_up(other.measures["hangs"]),
        )
        for arm in (arms.stable, arms.candidate):
            found = {name: (each.last, each.unknown) for name, each in arm.measures.items()}
            assert found["accuracy"] == (0.93, None)
            assert {name for name, (last, _) in found.items() if last is not None} == {"accuracy"}
            assert "its last line is 'fine'" in (found["words"][1] or "")
            assert "it printed nothing" in (found["nothing"][1] or "")
            assert "is nan" in (found["nan"][1] or "")
            assert "ended with 1: " in (found["fails"][1] or "")
            assert "no model" in (found["fails"][1] or "")
            assert "wrote more than 1000 bytes" in (found["floods"][1] or "")
            assert "/nowhere" in (found["lacks"][1] or "")
        # What hung was ended, and is not begun again and again.
        said = engine.docker("top", candidate, "-o", "pid,args")
        assert "sleep(3600)" not in said


def hung_up(figure: Figure) -> bool:
    return figure.errors >= 3 and "not run any more" in (figure.unknown or "")


async def test_replays_go_to_each_arm_and_say_so(engine: DockerEngine) -> None:
    replay = Replay(port=endpoint.PORT, method="POST", path="/infer", body=BODY, rate=50.0)
    stable, candidate = await both(engine, "--env=BAD=1")
    async with watched(engine, stable, candidate, replay=replay) as told:
        arms = await until(
            told,
            lambda one, other: bool(
                one.replayed
                and other.replayed
                and min(one.replayed.requests, other.replayed.requests) >= 60
            ),
        )
        good, bad = arms.stable.replayed, arms.candidate.replayed
        assert good is not None
        assert bad is not None
        assert good.errors == 0
        assert sum(good.latency.values()) == good.requests
        assert 0 < bad.errors < bad.requests
        assert arms.stable.requests is None
    # What cannot be sent is nobody's failure but its author's.
    broken = Replay(port=endpoint.PORT, headers={"Not a name": "1"}, rate=50.0)
    async with watched(engine, stable, candidate, replay=broken) as told:
        arms = await until(
            told, lambda one, _: "no HTTP request" in one.unknown.get("replayed", "")
        )
        assert arms.stable.replayed is None


async def test_a_restart_is_counted_and_what_stopped_has_no_more_readings(
    engine: DockerEngine,
) -> None:
    stable, candidate = run(engine, "stable"), run(engine, "candidate")
    async with watched(engine, stable, candidate, page("depth")) as told:
        await until(told, lambda _, other: bool(other.measures["depth"].count))
        engine.docker("restart", "--time=0", candidate)
        arms = await until(told, lambda _, other: other.restarts == 1)
        assert arms.stable.restarts == 0
        engine.docker("kill", candidate)
        arms = await until(told, lambda _, other: other.runs is False)
        assert arms.candidate.restarts == 1
        assert arms.candidate.measures["depth"].last == 3.0
        assert arms.stable.runs is True
