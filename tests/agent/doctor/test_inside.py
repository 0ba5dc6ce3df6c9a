"""The ladder, over a runtime whose answers are fixed; test_inside_real.py has a real one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.doctor.inside import KEPT_SECONDS, InsideLooker, wants_gpu
from agent.doctor.reloads import SETTLE_SECONDS, ReloadWatch
from agent.protocol.containers import (
    ContainerDetails,
    ExecExit,
    ExecOutput,
    ExecRequest,
)
from agent.protocol.problems import ProblemError
from tests.agent.doctor.patients import DETECTOR, container
from tests.agent.doubles import EchoSession, FixedRuntime
from tests.agent.host.tree import write

LISTED = b"GPU 0: NVIDIA A10 (UUID: GPU-aaaa)\n"
WANTS = container(gpus=["all"], gpu_way="cdi")


class Session(EchoSession):
    """An exec that writes `output` and ends, or never ends."""

    def __init__(self, output: bytes, code: int | None, *, hangs: bool = False) -> None:
        super().__init__()
        self._output, self._code, self._hangs = output, code, hangs

    async def output(self) -> AsyncIterator[ExecOutput | ExecExit]:
        yield ExecOutput(stream="stdout", data=self._output)
        if self._hangs:
            await asyncio.Event().wait()
        yield ExecExit(code=self._code)


class Runtime(FixedRuntime):
    """Answers every exec and inspect alike, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Session | Exception = Session(LISTED, 0)
        self.pid: int | None = 42
        self.execs = 0
        self.at_once = self.most_at_once = 0

    async def exec(self, name: str, request: ExecRequest) -> Session:
        assert request.command == ["nvidia-smi", "-L"]
        self.execs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def details(self, name: str) -> ContainerDetails:
        if name != DETECTOR:
            raise ProblemError("container.not_found", f"no container is named {name!r}")
        return ContainerDetails(container=WANTS, pid=self.pid)


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


class Now:
    """A clock that stands."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def later(folder: Path) -> None:
    """Another time of change, whatever the file system's clock is worth."""
    changed = folder.stat().st_mtime_ns + 1
    os.utime(folder, ns=(changed, changed))


def missing() -> ProblemError:
    return ProblemError("exec.command", "nvidia-smi is not there")


def test_who_wants_a_gpu() -> None:
    assert wants_gpu(WANTS)
    assert not wants_gpu(container())
    assert not wants_gpu(container(gpus=["0"], gpu_way="cdi", state="exited"))
    assert not wants_gpu(container(gpus=["amd.com/gpu=0"], gpu_way="cdi"))


async def test_exec_is_the_first_way(runtime: Runtime) -> None:
    looks = await InsideLooker(runtime).look([WANTS, container(id="e" * 64)])
    assert list(looks) == [DETECTOR]
    look = looks[DETECTOR]
    assert (look.way, look.sees, look.uuids) == ("exec", True, ("GPU-aaaa",))
    assert isinstance(runtime.answer, Session)
    assert runtime.answer.closed


async def test_a_good_look_is_kept_and_a_bad_one_is_not(runtime: Runtime) -> None:
    looker = InsideLooker(runtime)
    await looker.look([WANTS])
    await looker.look([WANTS])
    assert runtime.execs == 1
    again = msgspec.structs.replace(WANTS, started_at=99.0)
    runtime.answer = Session(b"Failed to initialize NVML: Unknown Error\n", 255)
    assert (await looker.look([again]))[DETECTOR].sees is False
    assert (await looker.look([again]))[DETECTOR].reason == (
        "Failed to initialize NVML: Unknown Error"
    )
    assert runtime.execs == 3


async def test_a_good_look_is_kept_for_a_while(runtime: Runtime) -> None:
    now = Now()
    looker = InsideLooker(runtime, reloads=ReloadWatch(None, clock=now))
    await looker.look([WANTS])
    now.seconds += KEPT_SECONDS - 1
    await looker.look([WANTS])
    assert runtime.execs == 1
    now.seconds += 1
    await looker.look([WANTS])
    assert runtime.execs == 2


async def test_after_a_reload_it_is_looked_again(runtime: Runtime, tmp_path: Path) -> None:
    now, folder = Now(), tmp_path / "systemd"
    folder.mkdir()
    looker = InsideLooker(runtime, reloads=ReloadWatch(folder, clock=now))
    await looker.look([WANTS])
    await looker.look([WANTS])
    assert runtime.execs == 1
    later(folder)
    runtime.answer = Session(b"Failed to initialize NVML: Unknown Error\n", 255)
    assert (await looker.look([WANTS]))[DETECTOR].sees is False


async def test_a_look_that_came_too_soon_after_a_reload_is_not_kept(
    runtime: Runtime, tmp_path: Path
) -> None:
    now, folder = Now(), tmp_path / "systemd"
    folder.mkdir()
    looker = InsideLooker(runtime, reloads=ReloadWatch(folder, clock=now))
    await looker.look([])
    later(folder)
    await looker.look([WANTS])  # systemd may still be at it
    now.seconds += SETTLE_SECONDS
    await looker.look([WANTS])
    assert runtime.execs == 2
    await looker.look([WANTS])
    assert runtime.execs == 2


async def test_without_systemd_there_are_no_reloads(runtime: Runtime, tmp_path: Path) -> None:
    looker = InsideLooker(runtime, reloads=ReloadWatch(tmp_path / "systemd"))
    await looker.look([WANTS])
    await looker.look([WANTS])
    assert runtime.execs == 1


async def test_device_nodes_are_the_second_way(runtime: Runtime, tmp_path: Path) -> None:
    runtime.answer = missing()
    write(
        tmp_path,
        {"42/cgroup": f"0::/{DETECTOR}\n", "42/environ": "NVIDIA_VISIBLE_DEVICES=GPU-aaaa\0"},
    )
    (tmp_path / "42/root/dev/nvgpu").mkdir(parents=True)
    look = (await InsideLooker(runtime, procfs=tmp_path).look([WANTS]))[DETECTOR]
    assert (look.way, look.sees, look.tegra) == ("device_nodes", True, True)
    assert look.environment == "GPU-aaaa"
    assert look.reason == "no nvidia-smi in the container"


async def test_no_nodes_is_seeing_none(runtime: Runtime, tmp_path: Path) -> None:
    runtime.answer = Session(b"exec format error\n", 1)
    write(tmp_path, {"42/cgroup": f"0::/{DETECTOR}\n"})
    (tmp_path / "42/root/dev").mkdir(parents=True)
    look = (await InsideLooker(runtime, procfs=tmp_path).look([WANTS]))[DETECTOR]
    assert (look.way, look.sees) == ("device_nodes", False)
    assert look.reason == "nvidia-smi ended with 1: exec format error"


async def test_a_glance_runs_nothing(runtime: Runtime, tmp_path: Path) -> None:
    looker = InsideLooker(runtime, procfs=tmp_path)
    plain = container()
    look = (await looker.glance([plain]))[DETECTOR]
    assert (look.sees, look.reason) == (None, "process 42 of the container: missing")
    write(
        tmp_path, {"42/cgroup": f"0::/{DETECTOR}\n", "42/environ": "NVIDIA_VISIBLE_DEVICES=all\0"}
    )
    (tmp_path / "42/root/dev").mkdir(parents=True)
    look = (await looker.glance([plain]))[DETECTOR]
    assert (look.way, look.sees, look.environment) == ("device_nodes", False, "all")
    runtime.pid = None  # what was seen stands for this run of the container
    assert (await looker.glance([plain]))[DETECTOR] is look
    assert await looker.glance([container(state="exited")]) == {}
    assert runtime.execs == 0


@pytest.mark.parametrize("session", [Session(b"", 139), Session(b"", None, hangs=True)])
async def test_nodes_do_not_outweigh_an_nvidia_smi_that_broke(
    runtime: Runtime, tmp_path: Path, session: Session
) -> None:
    runtime.answer = session
    write(tmp_path, {"42/cgroup": f"0::/{DETECTOR}\n"})
    (tmp_path / "42/root/dev/nvgpu").mkdir(parents=True)
    looker = InsideLooker(runtime, procfs=tmp_path, timeout_seconds=0.05)
    look = (await looker.look([WANTS]))[DETECTOR]
    assert (look.way, look.sees, look.tegra) == ("device_nodes", None, True)


async def test_could_not_tell_says_what_was_tried(runtime: Runtime, tmp_path: Path) -> None:
    runtime.answer = missing()
    for pid, procfs, reason in (
        (42, tmp_path, "process 42 of the container: missing"),
        (None, tmp_path, "the runtime names no process of the container"),
        (42, None, "a simulated container has no device nodes"),
    ):
        runtime.pid = pid
        look = (await InsideLooker(runtime, procfs=procfs).look([WANTS]))[DETECTOR]
        assert (look.way, look.sees) == ("none", None)
        assert look.reason == f"no nvidia-smi in the container; {reason}"


async def test_a_container_that_is_gone(runtime: Runtime) -> None:
    runtime.answer = ProblemError("container.not_found", "no such container")
    other = msgspec.structs.replace(WANTS, id="e" * 64)
    look = (await InsideLooker(runtime).look([other]))["e" * 64]
    assert look.sees is None
    assert look.reason == f"exec: no such container; inspect: no container is named '{'e' * 64}'"


async def test_a_hang_is_cut_off_and_not_repeated(runtime: Runtime, tmp_path: Path) -> None:
    session = runtime.answer = Session(b"", None, hangs=True)
    looker = InsideLooker(runtime, procfs=tmp_path, timeout_seconds=0.05)
    first = (await looker.look([WANTS]))[DETECTOR]
    assert first.sees is None
    assert (first.reason or "").startswith("nvidia-smi did not end within 0.05 s; ")
    assert session.closed
    looker._looks.clear()  # as if the look had grown old
    second = (await looker.look([WANTS]))[DETECTOR]
    assert (second.reason or "").startswith("nvidia-smi hung in this container before; ")
    assert runtime.execs == 1
    await looker.look([msgspec.structs.replace(WANTS, started_at=99.0)])  # it was started anew
    assert runtime.execs == 2


async def test_only_so_many_at_once(runtime: Runtime) -> None:
    many = [container(id=f"{n:064x}", gpus=["0"], gpu_way="cdi") for n in range(9)]
    looks = await InsideLooker(runtime, at_once=2).look(many)
    assert len(looks) == runtime.execs == 9
    assert runtime.most_at_once == 2


async def test_a_runtime_that_breaks_its_promise(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.answer = ValueError("surprise")
    look = (await InsideLooker(runtime).look([WANTS]))[DETECTOR]
    assert (look.sees, look.reason) == (None, "ValueError: surprise")
    assert "looking into container" in caplog.text
