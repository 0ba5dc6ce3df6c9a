"""`engine.build` over stand-ins: GPUs, builders that misbehave, and what becomes current."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.engines import plan_files, whole_plans
from agent.protocol.problems import ProblemError
from tests.agent.engines.engine_side import A10, engine_side, stand_in


def current(folder: Path) -> str | None:
    link = folder / "detector" / "current"
    return link.readlink().name if link.is_symlink() else None


async def test_what_was_tried_becomes_current(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10], keep=2) as side:
        keys = []
        for level in (1, 2, 3):
            job = await side.build(onnx, optimization_level=level)
            assert (job.state, job.result["current"]) == ("succeeded", "yes")
            keys.append(job.result["key"])
            assert current(side.folder) == keys[-1]
        engines = await side.engines.show("detector")
        assert [engine.manifest.key for engine in engines] == [keys[2], keys[1]]
        assert [engine.current for engine in engines] == [True, False]
        assert engines[0].manifest.parts.gpu == "NVIDIA A10"
        assert engines[0].manifest.driver_version == "580.95.05"
        back = await side.build(onnx, optimization_level=2)
        assert (back.result["engine"], current(side.folder)) == ("was there", keys[1])


async def test_what_is_there_is_not_read_again(
    tmp_path: Path, onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have gigabytes. What was written to since is."""
    read = []

    def digest_of(path: Path) -> tuple[str, int]:
        read.append(path)
        return plan_files.digest_of(path)

    monkeypatch.setattr(whole_plans, "digest_of", digest_of)
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        await side.build(onnx)
        assert (await side.build(onnx)).result["engine"] == "was there"
        assert read == []
        (engine,) = await side.engines.list()
        os.utime(engine.path)
        assert (await side.build(onnx)).result["engine"] == "was there"
        assert (await side.build(onnx)).result["engine"] == "was there"
        assert [str(path) for path in read] == [engine.path]


async def test_a_build_that_fails_leaves_current_alone(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        key = (await side.build(onnx)).result["key"]
        stand_in(tmp_path, "sys.stderr.write('Aborted: out of tiles'); sys.exit(134)")
        job = await side.build(onnx, optimization_level=1)
        assert job.problem is not None
        assert job.problem.code == "engine.worker"
        assert job.problem.detail.endswith("its last words: Aborted: out of tiles")
        assert (current(side.folder), len(await side.engines.list())) == (key, 1)


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("sys.exit(0)", "ended with 0 and did not say how it went"),
        ('print(\'{"event": "done"}\', flush=True); sys.exit(0)', "did not say what it built"),
    ],
)
async def test_builders_that_misbehave(tmp_path: Path, onnx: Path, ending: str, words: str) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path, ending)], gpus=[A10]) as side:
        job = await side.build(onnx)
        assert job.problem is not None
        assert job.problem.code == "engine.worker"
        assert words in job.problem.detail
        assert side.files() == []


async def test_what_a_builder_said_before_it_failed_is_in_the_jobs_log(
    tmp_path: Path, onnx: Path
) -> None:
    said = (
        "for n in range(200): sys.stderr.write(f'tile {n}.\\n')\n"
        "sys.stderr.write('z' * 5000 + '\\nout of tiles\\n'); sys.exit(134)"
    )
    async with engine_side(tmp_path, [stand_in(tmp_path, said)], gpus=[A10]) as side:
        log = await side.log(await side.build(onnx))
        assert "[what was said before is left out]" in log
        assert ("tile 199." in log, "tile 1." in log, "out of tiles" in log) == (True, False, True)
        assert ("z" * 2000 in log, "z" * 2001 in log) == (True, False)
        assert "versions" not in log, "events are told otherwise"


async def test_a_builder_that_prints_megabytes(tmp_path: Path, onnx: Path) -> None:
    noise = (
        "for _ in range(100): sys.stdout.write('x' * 100_000); sys.stderr.write('y' * 100_000)\n"
        "sys.stdout.write('\\n'); sys.stdout.flush()"
    )
    async with engine_side(tmp_path, [stand_in(tmp_path, noise)], gpus=[A10]) as side:
        job = await side.build(onnx)
        assert (job.state, job.problem) == ("succeeded", None)
        (engine,) = await side.engines.list()
        log = Path(engine.path).with_name("build.log")
        assert 4 * 1024 * 1024 <= log.stat().st_size < 4 * 1024 * 1024 + 100


async def test_a_builder_that_does_not_listen_is_killed(tmp_path: Path, onnx: Path) -> None:
    deaf = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "message = {'event': 'message', 'severity': 'warning', 'text': f'I am {os.getpid()}.'}\n"
        "print(json.dumps(message), flush=True)\n"
        "time.sleep(60)"
    )
    async with engine_side(tmp_path, [stand_in(tmp_path, deaf)], gpus=[A10]) as side:
        job = await side.begin(onnx)
        await side.said(job, "I am ")
        await side.jobs.cancel(job.id, by="maria")
        assert (await side.ended(job)).state == "cancelled"
        assert side.files() == []
        pid = int((await side.log(job)).partition("I am ")[2].partition(".")[0])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_build_that_outlives_its_timeout(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path, "time.sleep(60)")], gpus=[A10]) as side:
        job = await side.build(onnx, timeout_seconds=0.2)
        assert job.problem is not None
        assert (job.state, job.problem.code) == ("failed", "job.deadline")
        assert "timeout_seconds is 0.2: raise it" in (job.problem.hint or "")
        assert "job retry" not in (job.problem.hint or "")
        assert side.files() == []


async def test_an_upgrade_of_tensorrt_is_another_engine(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        first = await side.build(onnx)
    builder.write_text(builder.read_text().replace("10.13.2.6", "10.13.3.9"))
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        second = await side.build(onnx)
        assert second.result["key"] != first.result["key"]
        assert len(await side.engines.list()) == 2


async def test_tensorrt_needs_a_gpu(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)]) as side:
        job = await side.build(onnx)
    assert job.problem is not None
    assert job.problem.code == "engine.no_gpu"


async def test_no_python_has_tensorrt(tmp_path: Path, onnx: Path) -> None:
    pythons = [tmp_path / "nowhere", Path("/bin/false")]
    async with engine_side(tmp_path, pythons) as side:
        job = await side.build(onnx)
    assert job.problem is not None
    assert job.problem.code == "engine.no_tensorrt"
    assert all(str(python) in job.problem.detail for python in pythons[:1])


async def test_ranges_that_do_not_ascend(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path) as side:
        with pytest.raises(ProblemError) as caught:
            await side.begin(
                onnx,
                profiles=[{"images": {"min": [4, 3, 64, 64], "opt": [1] * 4, "max": [8] * 4}}],
            )
    assert caught.value.code == "engine.recipe"
    assert "min 4, opt 1, max 8 do not ascend" in caught.value.detail


async def test_a_build_that_an_agents_end_cuts_off_is_done_by_the_next(
    tmp_path: Path, onnx: Path
) -> None:
    builder = stand_in(tmp_path, "time.sleep(60)")
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await side.begin(onnx)
        await side.said(job, "1 layers")
    stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        ended = await side.ended(job)
        assert (ended.state, ended.result["current"]) == ("succeeded", "yes")
        assert side.files() == sorted(
            f"detector/{name}" for name in ("current", ended.result["key"])
        )
