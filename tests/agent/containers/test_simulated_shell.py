"""The shell of simulated containers, typed at and fed."""

from __future__ import annotations

import asyncio

import pytest

from agent.containers.simulated_shell import SimulatedExec, SimulatedShell
from agent.protocol.containers import ExecExit, ExecOutput, ExecRequest
from agent.protocol.problems import ProblemError

LIST = "GPU 0: Tesla T4 (UUID: GPU-1)"


def session(*command: str, tty: bool = False, stdin: bool = False) -> SimulatedExec:
    request = ExecRequest(command=list(command), tty=tty, stdin=stdin)
    return SimulatedExec("e1", request, SimulatedShell(hostname="abc", nvidia_smi=LIST))


async def all_of(one: SimulatedExec) -> tuple[bytes, bytes, int | None]:
    out, err, code = b"", b"", None
    async for part in one.output():
        if isinstance(part, ExecExit):
            code = part.code
        elif part.stream == "stdout":
            out += part.data
        else:
            err += part.data
    return out, err, code


@pytest.mark.parametrize(
    ("command", "out", "err", "code"),
    [
        (("echo", "a", "b"), b"a b\n", b"", 0),
        (("nvidia-smi", "-L"), LIST.encode() + b"\n", b"", 0),
        (("/usr/bin/nvidia-smi",), b"", b"simulated: only `nvidia-smi -L` is known here\n", 2),
        (("hostname",), b"abc\n", b"", 0),
        (("false",), b"", b"", 1),
        (("sh", "-c", "echo 'a  b'"), b"a  b\n", b"", 0),
        (("sh", "-c", "exit 3"), b"", b"", 3),
        (("sh", "-c", "nosuch"), b"", b"sh: nosuch: not found (simulated)\n", 127),
        (("sh", "-c", "echo 'open"), b"", b"sh: No closing quotation\n", 2),
        (("sh",), b"", b"", 0),
    ],
)
async def test_one_command(command: tuple[str, ...], out: bytes, err: bytes, code: int) -> None:
    assert await all_of(session(*command)) == (out, err, code)


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ProblemError) as raised:
        session("python3")
    assert raised.value.code == "exec.command"
    with pytest.raises(ProblemError):
        SimulatedExec(
            "e1",
            ExecRequest(command=["nvidia-smi", "-L"]),
            SimulatedShell(hostname="abc", nvidia_smi=None),
        )


async def test_typing_into_a_terminal() -> None:
    one = session("sh", tty=True, stdin=True)
    reading = asyncio.create_task(all_of(one))
    for typed in (b"ech", b"p\x7fo hi\r", b"bad\x03", b"exit 4\r"):
        await one.write(typed)
    out, err, code = await reading
    assert (err, code) == (b"", 4)
    text = out.decode()
    assert text.startswith("This shell is simulated.")
    assert "echp\b \bo hi\r\nhi\r\n" in text
    assert "bad^C\r\n" in text
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize("tty", [True, False])
async def test_the_end_of_input_ends_the_shell(tty: bool) -> None:
    one = session("sh", tty=tty, stdin=True)
    if tty:
        await one.write(b"\x04")
    else:
        await one.write(b"echo last")
        await one.close_input()
    out, _, code = await all_of(one)
    assert code == 0
    assert out.endswith(b"last\n") or tty
    with pytest.raises(ProblemError) as raised:
        await one.write(b"x")
    assert raised.value.code == "exec.not_found"


async def test_cat_gives_back_what_it_gets() -> None:
    one = session("cat", stdin=True)
    await one.write(b"\x00\xff bytes")
    await one.close_input()
    assert await all_of(one) == (b"\x00\xff bytes", b"", 0)


async def test_closing_ends_the_output() -> None:
    one = session("sh", tty=True, stdin=True)
    reading = asyncio.create_task(all_of(one))
    await asyncio.sleep(0)
    await one.close()
    assert (await reading)[2] is None
    await one.resize(1, 1)


async def test_output_is_bytes_of_the_wire() -> None:
    parts = [part async for part in session("echo", "é").output()]
    assert parts == [ExecOutput(stream="stdout", data="é\n".encode()), ExecExit(code=0)]
