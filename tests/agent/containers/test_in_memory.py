"""The runtime of simulated nodes keeps what the interface promises."""

from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest

from agent.containers import in_memory
from agent.containers.in_memory import InMemoryRuntime
from agent.containers.runtime import ContainerRuntime
from agent.protocol.containers import Container, ContainerFigures, ExecRequest, LogLine
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from tests.agent.containers.answers import container

START = 1_800_000_000.0
FACTS = RuntimeFacts(state="ok", name="Docker Engine", version="20.10.24")
RUNS = msgspec.structs.replace(container(1, "detector"), started_at=START, gpus=["GPU-1"])
ENDED = msgspec.structs.replace(
    container(2, "job", "exited"), started_at=START, finished_at=START + 9, exit_code=1
)


class Clock:
    def __init__(self) -> None:
        self.now = START + 100

    def __call__(self) -> float:
        return self.now


def runtime(*containers: Container, clock: Clock | None = None) -> InMemoryRuntime:
    return InMemoryRuntime(
        FACTS,
        containers or (RUNS, ENDED),
        nvidia_smi=lambda one: "GPU 0: Tesla T4 (UUID: GPU-1)" if one.gpus else None,
        now=clock or Clock(),
        seed="7",
    )


async def lines(
    of: InMemoryRuntime, name: str, *, since: str | None = None, tail: int | None = None
) -> list[LogLine]:
    return [
        line
        async for batch in of.logs(name, follow=False, since=since, tail=tail)
        for line in batch
    ]


async def test_it_says_that_it_is_simulated_and_is_a_runtime() -> None:
    one: ContainerRuntime = runtime()
    await one.start()
    assert (await one.facts()).state == "simulated"
    assert set(one.containers()) == {RUNS.id, ENDED.id}
    await one.stop()


async def test_stop_start_and_restart_change_the_record_and_tell() -> None:
    clock = Clock()
    one = runtime(clock=clock)
    told: list[str] = []
    one.on_change(lambda: told.append(one.containers()[RUNS.id].state))
    stopped = await one.act("detector", "stop")
    assert (stopped.changed, stopped.container.state) == (True, "exited")
    assert stopped.container.finished_at == clock.now
    again = await one.act("detector", "stop")
    assert (again.changed, again.container) == (False, stopped.container)
    clock.now += 5
    started = await one.act("detector", "start")
    assert (started.container.state, started.container.started_at) == ("running", clock.now)
    assert started.container.exit_code is None
    clock.now += 5
    restarted = await one.act("detector", "restart")
    assert restarted.changed
    assert restarted.container.started_at == clock.now
    assert told == ["exited", "running", "running"]
    assert one.containers()[ENDED.id] is ENDED


async def test_figures_walk_when_they_are_told_to() -> None:
    one = runtime()
    first = await one.figures()
    assert [figure.id for figure in first] == [RUNS.id]
    assert await one.figures() == first
    one.tick(1.0)
    assert await one.figures() != first


async def test_the_same_seed_walks_the_same_way() -> None:
    walks = []
    for _ in range(2):
        one = runtime()
        for now in range(5):
            one.tick(float(now))
        walks.append(await one.figures())
    assert walks[0] == walks[1]


async def test_figures_by_a_function() -> None:
    one = InMemoryRuntime(
        FACTS, [RUNS], figures=lambda of: ContainerFigures(id=of.id, cpu_percent=12.0)
    )
    assert await one.figures() == (ContainerFigures(id=RUNS.id, cpu_percent=12.0),)
    details = await one.details("detector")
    assert details.figures == ContainerFigures(id=RUNS.id, cpu_percent=12.0)


async def test_a_log_is_the_same_however_it_is_asked_for_and_says_simulated() -> None:
    one = runtime()
    whole = await lines(one, "detector")
    assert len(whole) == 51  # 100 s, one line every 2 s
    assert all("simulated" in line.text for line in whole)
    assert await lines(one, "detector", tail=3) == whole[-3:]
    assert await lines(one, "detector", tail=0) == []
    assert await lines(one, "detector", since=whole[20].at) == whole[20:]
    assert await lines(one, "detector", since="1m") == whole[20:]
    assert len(await lines(one, "job")) == 5
    assert await lines(runtime(container(3, "new", "created")), "new") == []


async def test_a_log_of_weeks_is_rotated() -> None:
    clock = Clock()
    clock.now = START + 30 * 86400
    assert len(await lines(runtime(clock=clock), "detector")) == 5000


async def test_following_a_log_until_the_container_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "FOLLOW_SECONDS", 0.001)
    clock = Clock()
    one = runtime(clock=clock)
    stream = one.logs("detector", follow=True, tail=0)
    assert await anext(stream) == ()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    clock.now += 4
    assert [line.at for line in await waiting] == [
        "2027-01-15T08:01:42.000000000Z",
        "2027-01-15T08:01:44.000000000Z",
    ]
    await one.act("detector", "stop")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_runtime_that_goes_away_and_comes_back() -> None:
    one = runtime()
    told: list[int] = []
    one.on_change(lambda: told.append(len(one.containers())))
    one.set_away("dockerd is restarting (simulated)")
    facts = await one.facts()
    assert (facts.state, facts.reason) == ("unreachable", "dockerd is restarting (simulated)")
    assert one.containers() == {}
    assert await one.figures() == ()
    for ask in (one.details("detector"), one.act("detector", "stop")):
        with pytest.raises(ProblemError) as raised:
            await ask
        assert raised.value.code == "runtime.unreachable"
    one.set_away(None)
    assert (await one.details("detector")).container is RUNS
    assert told == [0, 2]


async def test_containers_come_and_go() -> None:
    one = runtime()
    one.put(container(3, "new"))
    one.remove(ENDED.id)
    assert {each.name for each in one.containers().values()} == {"detector", "new"}


@pytest.mark.parametrize(
    ("name", "code"), [("nobody", "container.not_found"), ("0", "container.ambiguous")]
)
async def test_a_name_that_does_not_fit(name: str, code: str) -> None:
    one = runtime()
    for ask in (
        one.details(name),
        one.act(name, "stop"),
        one.exec(name, ExecRequest(command=["ls"])),
        anext(one.logs(name, follow=False)),
    ):
        with pytest.raises(ProblemError) as raised:
            await ask
        assert raised.value.code == code


async def test_exec_in_a_container_that_does_not_run() -> None:
    with pytest.raises(ProblemError) as raised:
        await runtime().exec("job", ExecRequest(command=["ls"]))
    assert raised.value.code == "container.not_running"


async def test_a_thousand_runtimes_need_no_thread_and_no_task() -> None:
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    many = [runtime() for _ in range(1000)]
    for one in many:
        await one.start()
        await one.figures()
    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == tasks
