"""Commands in real containers."""

from __future__ import annotations

import asyncio
import hashlib

import anyio
import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.containers.runtime import ExecSession
from agent.protocol.containers import ExecExit, ExecRequest
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import docker, run
from tests.real.runtime import PrivateRuntime
from tests.waiting import until


class Heard:
    """What a session wrote, and how it ended."""

    def __init__(self) -> None:
        self.out = self.err = b""
        self.exit: ExecExit | None = None

    async def to(self, session: ExecSession) -> Heard:
        """Listen until its end."""
        async for part in session.output():
            if isinstance(part, ExecExit):
                self.exit = part
            elif part.stream == "stdout":
                self.out += part.data
            else:
                self.err += part.data
        return self

    @property
    def code(self) -> int | None:
        assert self.exit is not None
        return self.exit.code


@pytest.fixture
async def box(runtime: DockerRuntime, part: PrivateRuntime) -> DockerRuntime:
    """The runtime with a container `box` that runs."""
    await run(part, "box", "sleep", "600", options="--network none")
    return runtime


async def heard(runtime: DockerRuntime, request: ExecRequest) -> Heard:
    session = await runtime.exec("box", request)
    try:
        return await Heard().to(session)
    finally:
        await session.close()


async def problem_of(runtime: DockerRuntime, name: str, request: ExecRequest) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        await runtime.exec(name, request)
    return raised.value


async def test_both_streams_and_the_exit_code(box: DockerRuntime) -> None:
    script = "echo out; echo err >&2; exit 3"
    found = await heard(box, ExecRequest(command=["sh", "-c", script]))
    assert (found.out, found.err, found.code) == (b"out\n", b"err\n", 3)


async def test_a_command_that_ends_at_once_loses_nothing(box: DockerRuntime) -> None:
    for number in range(10):
        found = await heard(box, ExecRequest(command=["echo", str(number)]))
        assert (found.out, found.code) == (f"{number}\n".encode(), 0)


async def test_input_and_its_end(box: DockerRuntime) -> None:
    session = await box.exec("box", ExecRequest(command=["cat"], stdin=True))
    await session.write(b"\x00\xff one ")
    await session.write(b"two")
    await session.close_input()
    found = await Heard().to(session)
    assert (found.out, found.code) == (b"\x00\xff one two", 0)
    with pytest.raises(ProblemError) as raised:
        await session.write(b"more")
    assert raised.value.code == "exec.not_found"
    await session.close()


async def test_megabytes_go_through_and_come_back_the_same(box: DockerRuntime) -> None:
    session = await box.exec("box", ExecRequest(command=["cat"], stdin=True))
    block = bytes(range(256)) * 256
    reading = asyncio.create_task(Heard().to(session))
    for _ in range(64):
        await session.write(block)
    await session.close_input()
    found = await reading
    assert hashlib.sha256(found.out).digest() == hashlib.sha256(block * 64).digest()
    assert found.code == 0
    await session.close()


async def test_a_writer_waits_for_a_command_that_does_not_read(box: DockerRuntime) -> None:
    session = await box.exec("box", ExecRequest(command=["sleep", "600"], stdin=True))
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await session.write(b"x" * 65536)
            written += 65536

    writing = asyncio.create_task(write())
    last = -1
    while last != written or not written:
        last = written
        await asyncio.sleep(0.3)
    assert written < 16 * 1024 * 1024
    assert not writing.done()
    await session.close()
    with pytest.raises(ProblemError) as raised:
        await writing
    assert raised.value.code == "exec.not_found"


async def test_output_that_nobody_reads_makes_the_command_wait(box: DockerRuntime) -> None:
    script = "dd if=/dev/zero bs=1000000 count=50; echo done >/tmp/done"
    session = await box.exec("box", ExecRequest(command=["sh", "-c", script]))
    await asyncio.sleep(1)
    listing = await heard(box, ExecRequest(command=["ls", "/tmp"]))
    assert listing.out == b""
    size = 0
    async for part in session.output():
        if not isinstance(part, ExecExit) and part.stream == "stdout":
            size += len(part.data)
    assert size == 50_000_000
    await session.close()


async def test_a_terminal_has_a_size_that_changes(box: DockerRuntime) -> None:
    request = ExecRequest(command=["sh"], tty=True, stdin=True, columns=99, rows=33)
    session = await box.exec("box", request)
    found = Heard()
    reading = asyncio.create_task(found.to(session))
    await session.write(b"stty size\r")
    await until(lambda: b"33 99\r\n" in found.out)
    await session.resize(120, 40)
    await session.write(b"stty size\r")
    await until(lambda: b"40 120\r\n" in found.out)
    await session.write(b"exit 5\r")
    assert (await reading).code == 5
    assert found.err == b""
    await session.close()


async def test_ctrl_c_reaches_a_command_in_a_terminal(box: DockerRuntime) -> None:
    request = ExecRequest(command=["sh", "-c", "echo begun; sleep 600"], tty=True, stdin=True)
    session = await box.exec("box", request)
    found = Heard()
    reading = asyncio.create_task(found.to(session))
    while b"begun" not in found.out:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.05)
    await session.write(b"\x03")
    assert (await reading).code == 130
    await session.close()


async def test_who_where_and_with_what(box: DockerRuntime) -> None:
    script = "id -u; pwd; echo $GREETING; test -t 0 || echo no terminal"
    request = ExecRequest(
        command=["sh", "-c", script],
        user="1234",
        working_dir="/tmp",
        environment={"GREETING": "a=b c"},
    )
    found = await heard(box, request)
    assert found.out.decode().splitlines() == ["1234", "/tmp", "a=b c", "no terminal"]


@pytest.mark.parametrize("tty", [True, False])
async def test_what_cannot_be_run(box: DockerRuntime, tty: bool) -> None:
    wrong = [
        (ExecRequest(command=["nosuch"], tty=tty), "not found"),
        (ExecRequest(command=["/tmp"], tty=tty), "permission denied"),
        (ExecRequest(command=["ls"], user="nobodyhere", tty=tty), "nobodyhere"),
        (ExecRequest(command=["ls"], working_dir="/nosuch", tty=tty), "no such file"),
        (ExecRequest(command=[""], tty=tty), "no command"),
        (ExecRequest(command=[], tty=tty), "no command"),
    ]
    for request, words in wrong:
        problem = await problem_of(box, "box", request)
        assert problem.code == "exec.command", request
        assert words in problem.detail, request
        assert problem.hint, request


async def test_a_program_that_ends_as_if_it_were_not_there_did_run(box: DockerRuntime) -> None:
    found = await heard(box, ExecRequest(command=["sh", "-c", "nosuch"]))
    assert (found.out, found.code) == (b"", 127)
    assert b"nosuch: not found" in found.err
    silent = await heard(box, ExecRequest(command=["sh", "-c", "exit 126"]))
    assert (silent.out, silent.code) == (b"", 126)


async def test_a_container_that_does_not_run(box: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "over", "true")
    await docker(part, "wait", "over")
    problem = await problem_of(box, "over", ExecRequest(command=["ls"]))
    assert problem.code == "container.not_running"
    assert problem.params["state"] == "exited"
    assert (await problem_of(box, "nobody", ExecRequest(command=["ls"]))).code == (
        "container.not_found"
    )


async def test_input_that_was_not_asked_for(box: DockerRuntime) -> None:
    session = await box.exec("box", ExecRequest(command=["sleep", "600"]))
    with pytest.raises(ProblemError) as raised:
        await session.write(b"x")
    assert raised.value.code == "exec.not_found"
    await session.close()


async def commands_in(part: PrivateRuntime, name: str) -> list[str]:
    """What runs in a container beside its first process, without zombies: `sleep` as the first
    process does not collect them."""
    lines = (await docker(part, "exec", name, "ps", "-o", "pid,stat,args")).splitlines()[1:]
    found = [line.split(maxsplit=2) for line in lines]
    return [
        args
        for pid, state, args in found
        if pid != "1" and not state.startswith("Z") and not args.startswith("ps -o")
    ]


async def test_closing_ends_a_shell_that_reads_its_terminal(
    box: DockerRuntime, part: PrivateRuntime
) -> None:
    request = ExecRequest(command=["sh"], tty=True, stdin=True)
    session = await box.exec("box", request)
    found = Heard()
    reading = asyncio.create_task(found.to(session))
    await session.write(b"echo ready; sleep 601\r")
    await until(lambda: b"\r\nready\r\n" in found.out)
    assert "sleep 601" in await commands_in(part, "box")
    await session.close()
    assert await commands_in(part, "box") == []
    assert (await reading).exit is not None


async def test_closing_ends_whatever_runs_but_not_what_was_meant_to_stay(
    box: DockerRuntime, part: PrivateRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [
        ExecRequest(command=["sleep", "601"]),
        ExecRequest(command=["sleep", "602"], tty=True),
        ExecRequest(command=["sh", "-c", "sleep 603 | sleep 604"], stdin=True),
        ExecRequest(command=["yes"]),
        ExecRequest(command=["sh", "-c", "trap '' HUP; exec sleep 605"]),  # what nohup does,
    ]
    sessions = [await box.exec("box", request) for request in requests]
    while not {"sleep 603", "sleep 604", "sleep 605"} <= set(await commands_in(part, "box")):
        pass  # shells take a moment to begin them
    await asyncio.gather(*(session.close() for session in sessions))
    assert await commands_in(part, "box") == ["sleep 605"]
    [told] = [one.getMessage() for one in caplog.records if "may run on" in one.getMessage()]
    assert told.startswith("'sh' may run on in container 'box': it ignores hang-ups")


async def test_what_ran_to_its_end_is_not_looked_for(
    box: DockerRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    found = await heard(box, ExecRequest(command=["sh", "-c", "sleep 600 >/dev/null 2>&1 &"]))
    assert found.code == 0
    assert "may run on" not in caplog.text


async def test_a_session_that_nobody_waits_for_is_closed_all_the_same(
    box: DockerRuntime, part: PrivateRuntime
) -> None:
    """As when the client's connection is cut while the agent waits for output."""

    async def serve() -> None:
        session = await box.exec("box", ExecRequest(command=["sleep", "601"]))
        try:
            started.set()
            await Heard().to(session)
        finally:
            await session.close()

    started = asyncio.Event()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await started.wait()
            scope.cancel()
    assert await commands_in(part, "box") == []


async def test_a_container_that_is_killed_meanwhile(
    box: DockerRuntime, part: PrivateRuntime
) -> None:
    session = await box.exec("box", ExecRequest(command=["sleep", "600"]))
    reading = asyncio.create_task(Heard().to(session))
    await docker(part, "kill", "box")
    found = await reading
    assert found.exit is not None
    assert found.code == 137 or found.exit.reason
    await session.close()
