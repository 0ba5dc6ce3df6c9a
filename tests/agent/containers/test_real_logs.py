"""Logs of real containers."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.containers import LOG_LINE_LIMIT_BYTES, LogLine
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import docker, is_podman, run, sh, until_state
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

TALK = "echo out1; echo err1 >&2; sleep 0.2; echo out2; echo; printf partial"
MEGABYTE = 1_000_000
LONG = "dd if=/dev/zero bs=1000 count=1000 2>/dev/null | tr '\\000' x; echo; echo after"


async def whole(
    runtime: DockerRuntime,
    name: str,
    *,
    follow: bool = False,
    since: str | None = None,
    until: str | None = None,
    tail: int | None = None,
) -> list[LogLine]:
    batches = runtime.logs(name, follow=follow, since=since, until=until, tail=tail)
    return [line async for batch in batches for line in batch]


def texts(lines: list[LogLine], stream: str | None = None) -> list[str]:
    return [line.text for line in lines if stream in (None, line.stream)]


def open_files(part: PrivateRuntime) -> int:
    """How many files and sockets the runtime itself holds."""
    return len(list(Path(f"/proc/{part.pid}/fd").iterdir()))


@pytest.mark.parametrize("follow", [True, False])
async def test_both_streams_apart(
    runtime: DockerRuntime, part: PrivateRuntime, follow: bool
) -> None:
    await sh(part, "talk", TALK)
    if not follow:
        await until_state(runtime, "talk", "exited")
    lines = await whole(runtime, "talk", follow=follow)
    assert texts(lines, "stdout") == ["out1", "out2", "", "partial"]
    assert texts(lines, "stderr") == ["err1"]
    assert all(line.at and line.at.startswith("20") for line in lines)
    assert all(line.cut_bytes == 0 for line in lines)


async def test_a_terminal(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "tty", TALK, options="-t")
    lines = await whole(runtime, "tty", follow=True)
    assert texts(lines) == ["out1", "err1", "out2", "", "partial"]
    assert all(line.at for line in lines)
    assert {line.stream for line in lines} == {"stdout"}


async def test_only_the_end_or_a_time(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "lines", "echo 1; sleep 1.1; echo 2; sleep 1.1; echo 3")
    await until_state(runtime, "lines", "exited")
    assert texts(await whole(runtime, "lines", tail=2)) == ["2", "3"]
    assert texts(await whole(runtime, "lines", tail=0)) == []
    everything = await whole(runtime, "lines")
    second = everything[1].at
    assert texts(await whole(runtime, "lines", since=second)) == ["2", "3"]
    assert texts(await whole(runtime, "lines", since="10m")) == ["1", "2", "3"]
    assert texts(await whole(runtime, "lines", since="0s")) == []
    assert texts(await whole(runtime, "lines", until=second)) in (["1"], ["1", "2"])
    assert texts(await whole(runtime, "lines", until="1h")) == []


@pytest.mark.parametrize("options", ["", "-t"])
async def test_a_line_of_a_megabyte_is_cut_and_takes_no_memory(
    runtime: DockerRuntime, part: PrivateRuntime, options: str
) -> None:
    await sh(part, "long", LONG, options=options)
    await until_state(runtime, "long", "exited")
    tracemalloc.start()
    lines = await whole(runtime, "long")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * MEGABYTE
    first, last = lines
    assert first.text == "x" * LOG_LINE_LIMIT_BYTES
    assert first.cut_bytes == MEGABYTE - LOG_LINE_LIMIT_BYTES
    assert (last.text, last.cut_bytes) == ("after", 0)


async def test_many_lines_quickly(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "many", "seq 1 20000")
    followed = []
    async for batch in runtime.logs("many", follow=True):
        assert len(batch) < 5000
        followed += [int(line.text) for line in batch]
    await until_state(runtime, "many", "exited")
    everything = [int(line.text) for line in await whole(runtime, "many")]
    assert everything == list(range(1, 20_001))
    if is_podman(part):
        # Podman 4.3 leaves lines out, and repeats some, for a follower of a container that writes
        # quickly; `docker logs -f` shows the same there.
        assert set(followed) <= set(everything)
    else:
        assert followed == everything


async def test_following_sees_lines_as_they_come(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await sh(part, "waits", "echo old; echo older; sleep 600")
    await until_state(runtime, "waits", "running")
    log, last = (runtime.logs("waits", follow=True, tail=tail) for tail in (0, 1))
    assert (await anext(log), await anext(last)) == ((), ())
    assert texts(list(await anext(last))) == ["older"]
    reading = asyncio.ensure_future(anext(log))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await docker(part, "exec", "waits", "sh", "-c", "echo hello >/proc/1/fd/1")
    assert texts(list(await reading)) == ["hello"]
    assert texts(list(await anext(last))) == ["hello"]
    await log.aclose()
    await last.aclose()


async def test_a_container_that_is_removed_while_it_is_followed(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await sh(part, "doomed", "echo last words; sleep 600")
    log = runtime.logs("doomed", follow=True)
    assert await anext(log) == ()
    assert texts(list(await anext(log))) == ["last words"]
    await docker(part, "rm", "--force", "doomed")
    with pytest.raises(StopAsyncIteration):
        await anext(log)


async def test_closing_a_silent_log_ends_it_at_once_on_both_sides(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await run(part, "silent", "sleep", "600")
    await until_state(runtime, "silent", "running")
    await runtime.details("silent")
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    files = open_files(part)
    for _ in range(20):
        log = runtime.logs("silent", follow=True)
        assert await anext(log) == ()
        reading = asyncio.ensure_future(anext(log))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await log.aclose()
    # Other work needs a few that come and go.
    assert threading.active_count() < threads + 10
    assert len(asyncio.all_tasks()) < tasks + 10
    await until(lambda: open_files(part) < files + 20)


async def test_twenty_followers_need_no_threads(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await sh(part, "talk", "sleep 2; echo hello")
    await until_state(runtime, "talk", "running")
    logs = [runtime.logs("talk", follow=True) for _ in range(20)]
    for log in logs:
        assert await anext(log) == ()
    assert sum(thread.name == "runtime" for thread in threading.enumerate()) <= 8
    assert [texts(list(await anext(log))) for log in logs] == [["hello"]] * 20
    for log in logs:
        with pytest.raises(StopAsyncIteration):
            await anext(log)


async def test_bytes_that_are_no_text(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "bytes", r"printf 'a\377\033[31mb\tc\n'")
    await until_state(runtime, "bytes", "exited")
    [line] = await whole(runtime, "bytes")
    assert line.text == "a\ufffd\x1b[31mb\tc"


async def test_what_cannot_be_asked_is_told_before_the_first_batch(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await run(part, "talk", "true")
    wrong = [
        ("yesterday", None, "talk", "request.invalid"),
        (None, -1, "talk", "request.invalid"),
        (None, None, "nobody", "container.not_found"),
    ]
    for since, tail, name, code in wrong:
        with pytest.raises(ProblemError) as raised:
            await anext(runtime.logs(name, follow=True, since=since, tail=tail))
        assert raised.value.code == code


async def test_a_log_that_is_kept_nowhere(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "none", "sleep", "600", options="--log-driver none")
    await until_state(runtime, "none", "running")
    with pytest.raises(ProblemError) as raised:
        await whole(runtime, "none")
    assert raised.value.code == "runtime.refused"
    assert "log" in raised.value.detail


@pytest.mark.real
async def test_a_log_that_docker_rotates(docker_engine: DockerEngine) -> None:
    docker_engine.clear()
    runtime = DockerRuntime([docker_engine.url])
    await runtime.start()
    options = "--log-driver local --log-opt max-size=20k --log-opt max-file=2"
    await sh(docker_engine, "rotated", "seq 1 20000", options=options)
    await until_state(runtime, "rotated", "exited")
    lines = await whole(runtime, "rotated")
    assert 0 < len(lines) < 20_000
    assert lines[-1].text == "20000"
    await runtime.stop()
    docker_engine.clear()


async def test_podman_tells_no_fractions_of_a_second(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    """Resuming by `since` repeats the lines of that second on Podman 4.3, and one on Docker."""
    await sh(part, "talk", "echo 1; echo 2; echo 3")
    await until_state(runtime, "talk", "exited")
    lines = await whole(runtime, "talk")
    again = await whole(runtime, "talk", since=lines[-1].at)
    if is_podman(part) and "." not in str(lines[-1].at):
        assert texts(again)[-1] == "3"
    else:
        assert texts(again) == ["3"]
