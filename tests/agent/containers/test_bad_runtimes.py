"""Runtimes that hang, lie, or are something else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.containers import ExecRequest, LogLine
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from tests.agent.containers.answers import ID, inspect_answer
from tests.agent.containers.scripted import (
    QUICK,
    VERSION,
    Answer,
    ScriptedRuntime,
    following,
    raw,
    said,
    silence,
    stream,
)
from tests.waiting import until


async def failing(call: Awaitable[object]) -> ProblemError:
    """The problem that this awaitable raises."""
    with pytest.raises(ProblemError) as raised:
        await call
    return raised.value


async def all_lines(batches: AsyncIterator[Sequence[LogLine]]) -> list[LogLine]:
    """A log that ends."""
    return [line async for batch in batches for line in batch]


async def test_an_api_newer_than_we_know_is_spoken_as_we_know_it(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    scripted.answer("/version", said(VERSION | {"ApiVersion": "1.99"}))
    async with following(scripted, tmp_path) as runtime:
        assert (await runtime.facts()).api_version == "1.52"
        assert "v1.52 /containers/json" in scripted.asked


async def test_a_runtime_that_never_answers(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    scripted.answer("/.*", silence)
    async with following(scripted, tmp_path) as runtime:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        facts = await runtime.facts()
        ticking.cancel()
        assert (facts.state, facts.reason) == (
            "unreachable",
            f"{scripted.address} does not answer",
        )
        assert ticks > 10  # the loop ran on meanwhile
        assert runtime.containers() == {}
        assert await runtime.figures() == ()
        assert (await failing(runtime.details("x"))).code == "runtime.unreachable"


async def test_a_runtime_that_hangs_later_and_recovers(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    async with following(scripted, tmp_path) as runtime:
        assert (await runtime.facts()).state == "ok"
        for path in ("/containers/json", "/version", "/events"):
            scripted.answer(path, silence)
        await until(lambda: not runtime.containers())
        facts = await runtime.facts()
        assert facts.state == "unreachable"
        assert facts.version == "20.10.24"  # as last known
        scripted.answer("/containers/json", said([]))
        scripted.answer("/version", said(VERSION))
        scripted.answer("/events", stream())
        told = asyncio.Event()
        runtime.on_change(told.set)
        await told.wait()
        assert (await runtime.facts()).state == "ok"


async def test_many_callers_of_a_hung_runtime_are_told_and_share_a_few_threads(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: ID in runtime.containers())
        scripted.answer("/containers/silent/json", silence)
        problems = await asyncio.gather(*(failing(runtime.details("silent")) for _ in range(60)))
        assert {problem.code for problem in problems} == {"runtime.unreachable"}
        assert sum(thread.name == "runtime" for thread in threading.enumerate()) <= 8


async def test_one_container_that_is_stuck_does_not_take_the_others_along(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    stuck = inspect_answer(Id="5" * 64, Name="/stuck")
    scripted.containers.append(stuck)
    scripted.answer(f"/containers/{stuck['Id']}/json", silence)
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: len(runtime.containers()) == 2)
        assert runtime.containers()[stuck["Id"]].name == "stuck"
        assert runtime.containers()[ID].image == "bb:1"
        assert (await runtime.facts()).state == "ok"


@pytest.mark.parametrize(
    "garbage",
    [
        raw(b""),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"\x00" * 5000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"),
        said(b"<html>"),
        said(b'"a string"'),
        said(b"[]"),
        said({}),
        said({"message": "no"}, 500),
    ],
)
async def test_what_is_no_runtime_is_told(
    scripted: ScriptedRuntime, tmp_path: Path, garbage: Answer
) -> None:
    scripted.answer("/.*", garbage)
    async with following(scripted, tmp_path) as runtime:
        facts = await runtime.facts()
        assert facts.state == "unreachable"
        assert scripted.address in str(facts.reason) or "no" in str(facts.reason)


@pytest.mark.parametrize(
    "entries", [{"a": 1}, [1], [{}], [{"Id": None}], None, [{"Id": ID, "Names": 7}]]
)
async def test_a_list_that_is_none(
    scripted: ScriptedRuntime, tmp_path: Path, entries: object
) -> None:
    scripted.answer("/containers/json", said(entries))
    async with following(scripted, tmp_path) as runtime:
        assert (await runtime.facts()).state == "unreachable"


@pytest.mark.parametrize(
    "events",
    [
        stream(b"not json\n", b'{"Action":"start"}\n', b'[]\n{"Actor":1}\n'),
        stream(b"\n\n\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(b"garbage"),
        stream(b"x" * 300_000),
        said({"message": "events are off"}, 500),
    ],
)
async def test_events_that_are_none_leave_the_list_as_it_is(
    scripted: ScriptedRuntime, tmp_path: Path, events: Answer
) -> None:
    scripted.answer("/events", events)
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: ID in runtime.containers())


async def test_without_events_the_list_still_tells(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    scripted.answer("/events", said({"message": "events are off"}, 500))
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: ID in runtime.containers())
        scripted.containers[0] = inspect_answer(State={"Status": "exited", "ExitCode": 3})
        await until(lambda: runtime.containers()[ID].exit_code == 3)
        assert (await runtime.facts()).state == "ok"


async def test_a_log_that_ends_in_the_middle(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    line = b"\x01\0\0\0\0\0\0\x022\n"
    scripted.answer(
        ".*/logs",
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + line + b"\r\nff\r\n"),
    )
    async with following(scripted, tmp_path) as runtime:
        log = runtime.logs("silent", follow=True)
        assert await anext(log) == ()
        assert [one.text for one in await anext(log)] == ["2"]
        assert (await failing(anext(log))).code == "runtime.unreachable"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (said({"message": "configured logging driver does not support reading"}, 501), "refused"),
        (said({"message": "broken"}, 500), "refused"),
        (stream(b"no frame at all", ended=True), "refused"),
        (raw(b"garbage\r\n\r\n"), "unreachable"),
    ],
)
async def test_a_log_that_cannot_be_read(
    scripted: ScriptedRuntime, tmp_path: Path, answer: Answer, code: str
) -> None:
    scripted.answer(".*/logs", answer)
    async with following(scripted, tmp_path) as runtime:
        problem = await failing(all_lines(runtime.logs("silent", follow=False)))
        assert problem.code == f"runtime.{code}"


async def test_a_reader_that_is_slow_makes_the_runtime_wait(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        line = b"\x01\0\0\0\0\0\x04\0" + b"x" * 1023 + b"\n"
        while True:
            writer.write(line * 64)
            await writer.drain()
            written += 64

    scripted.answer(".*/logs", endless)
    async with (
        following(scripted, tmp_path) as runtime,
        contextlib.aclosing(runtime.logs("silent", follow=True)) as log,
    ):
        assert await anext(log) == ()
        assert len(await anext(log)) > 0
        last = -1
        while last != written:  # until the runtime's socket is full
            last = written
            await asyncio.sleep(0.1)
        assert written < 2000
        for _ in range(50):
            await anext(log)
        await until(lambda: written > last)


async def test_closing_a_log_that_has_not_begun_cuts_it_off(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    cut = asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    scripted.answer(".*/logs", never)
    async with following(scripted, tmp_path) as runtime:
        log = runtime.logs("silent", follow=True)
        assert await anext(log) == ()
        threads = threading.active_count()
        reading = asyncio.ensure_future(anext(log))
        await asyncio.sleep(0.05)
        assert threading.active_count() <= threads
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await log.aclose()
    await cut.wait()


async def test_an_exec_that_never_begins(
    scripted: ScriptedRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.containers.exec_session.START_SECONDS", 0.2)
    scripted.answer(".*/exec", said({"Id": "e1"}, 201))
    scripted.answer("/exec/e1/start", silence)
    async with following(scripted, tmp_path) as runtime:
        problem = await failing(runtime.exec("silent", ExecRequest(command=["sh"])))
        assert problem.code == "runtime.unreachable"


async def test_nothing_at_the_usual_places(tmp_path: Path) -> None:
    runtime = DockerRuntime(
        [f"unix://{tmp_path}/a.sock", f"unix://{tmp_path}/b.sock"], root=tmp_path, patience=QUICK
    )
    await runtime.start()
    facts = await runtime.facts()
    assert facts == RuntimeFacts(
        state="not_found",
        reason=f"no socket at {tmp_path}/a.sock; no socket at {tmp_path}/b.sock",
    )
    problem = await failing(runtime.act("x", "start"))
    assert (problem.code, problem.hint) == (
        "runtime.unreachable",
        "Install Docker or Podman, or name the socket in agent.yaml.",
    )
    await runtime.stop()


async def test_the_first_that_answers_is_taken_and_kept(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    other = ScriptedRuntime(tmp_path / "other.sock")
    other.containers = []
    await scripted.listen()
    runtime = DockerRuntime(
        ["tcp://127.0.0.1:2375", f"unix://{tmp_path}/none.sock", scripted.address, other.address],
        root=tmp_path,
        patience=QUICK,
    )
    await runtime.start()
    assert (await runtime.facts()).address == scripted.address
    await other.listen()
    await scripted.close()
    await until(lambda: not runtime.containers())
    for _ in range(5):
        await failing(runtime.details("silent"))
    assert other.asked == []
    facts = await runtime.facts()
    assert (facts.state, facts.address) == ("not_found", scripted.address)
    await scripted.listen()
    await until(lambda: ID in runtime.containers())
    await runtime.stop()
    await scripted.close()
    await other.close()


async def test_a_socket_file_that_nobody_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    runtime = DockerRuntime([str(path)], root=tmp_path, patience=QUICK)
    await runtime.start()
    facts = await runtime.facts()
    assert (facts.state, facts.reason) == ("unreachable", f"nobody listens on {path}")
    await runtime.stop()


async def test_a_runtime_that_was_never_started_answers_at_once(tmp_path: Path) -> None:
    runtime = DockerRuntime(["unix:///nowhere"], root=tmp_path)
    assert (await runtime.facts()).reason == "not asked yet"
    assert (await failing(runtime.details("x"))).code == "runtime.unreachable"
    await runtime.stop()
