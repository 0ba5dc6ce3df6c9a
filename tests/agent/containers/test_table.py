"""The table of containers: what it looks at again, and when it tells a change."""

from __future__ import annotations

import asyncio

import msgspec

from agent.containers.inspection import Inspected
from agent.containers.table import LOOKS_AT_ONCE, ContainerTable
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError
from tests.agent.containers.answers import container, looked_at


class Runtime:
    """A runtime that can be inspected, as a table sees it."""

    def __init__(self, *containers: Container) -> None:
        self.there = {one.id: one for one in containers}
        self.stuck: set[str] = set()
        self.code = "runtime.unreachable"
        self.looks: list[str] = []
        self.at_once = self.most_at_once = 0

    async def look(self, container_id: str) -> Inspected:
        self.looks.append(container_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if container_id in self.stuck:
            raise ProblemError(self.code, "it is stuck")
        if container_id not in self.there:
            raise ProblemError("container.not_found", "gone")
        return looked_at(msgspec.structs.replace(self.there[container_id]))


class Watched:
    def __init__(self) -> None:
        self.changes = 0
        self.table = ContainerTable(self._changed)

    def _changed(self) -> None:
        self.changes += 1


ONE, TWO = container(1), container(2)


async def filled(runtime: Runtime) -> Watched:
    watched = Watched()
    looks = watched.table.take_list(runtime.there.values())
    await watched.table.look_at(looks, runtime.look)
    return watched


async def test_a_list_says_what_to_look_at() -> None:
    watched = await filled(Runtime(ONE, TWO))
    assert watched.table.containers == {ONE.id: ONE, TWO.id: TWO}
    assert watched.changes == 1
    assert watched.table.take_list([ONE, TWO]) == set()
    stopped = msgspec.structs.replace(ONE, state="exited")
    renamed = msgspec.structs.replace(TWO, name="other")
    assert watched.table.take_list([stopped, renamed]) == {ONE.id, TWO.id}


async def test_an_unchanged_record_stays_the_same_object() -> None:
    runtime = Runtime(ONE, TWO)
    watched = await filled(runtime)
    before = watched.table.containers
    runtime.there[TWO.id] = msgspec.structs.replace(TWO, state="exited")
    await watched.table.look_at([ONE.id, TWO.id], runtime.look)
    assert watched.table.containers[ONE.id] is before[ONE.id]
    assert watched.table.containers[TWO.id].state == "exited"
    assert before[TWO.id].state == "running"
    assert watched.changes == 2


async def test_nothing_new_is_no_change() -> None:
    runtime = Runtime(ONE)
    watched = await filled(runtime)
    before = watched.table.containers
    await watched.table.look_at([ONE.id], runtime.look)
    watched.table.put(looked_at(msgspec.structs.replace(ONE)))
    assert watched.table.containers is before
    assert watched.changes == 1


async def test_a_burst_is_one_change_and_few_looks_at_once() -> None:
    runtime = Runtime(*(container(number) for number in range(1, 101)))
    watched = await filled(runtime)
    assert len(watched.table.containers) == 100
    assert watched.changes == 1
    assert runtime.most_at_once == LOOKS_AT_ONCE


async def test_a_container_that_is_gone_is_dropped() -> None:
    runtime = Runtime(ONE, TWO)
    watched = await filled(runtime)
    del runtime.there[ONE.id]
    await watched.table.look_at([ONE.id], runtime.look)
    assert list(watched.table.containers) == [TWO.id]
    watched.table.take_list([])
    assert watched.table.containers == {}


async def test_a_stuck_container_is_shown_as_listed_and_looked_at_again() -> None:
    runtime = Runtime(ONE, TWO)
    runtime.stuck, runtime.code = {ONE.id}, "runtime.refused"
    watched = await filled(runtime)
    assert watched.table.containers == {ONE.id: ONE, TWO.id: TWO}
    assert watched.table.known(ONE.id) is None
    assert watched.table.take_list([ONE, TWO]) == {ONE.id}
    runtime.stuck = set()
    await watched.table.look_at({ONE.id}, runtime.look)
    assert watched.table.known(ONE.id) is not None


async def test_a_runtime_that_does_not_answer_is_not_asked_for_every_container() -> None:
    many = [container(number) for number in range(1, 101)]
    runtime = Runtime(*many)
    runtime.stuck = set(runtime.there)
    watched = await filled(runtime)
    assert len(runtime.looks) == LOOKS_AT_ONCE
    assert len(watched.table.containers) == 100
    assert watched.table.take_list(many) == set(runtime.there)


async def test_clearing_is_one_change() -> None:
    watched = await filled(Runtime(ONE))
    watched.table.clear()
    watched.table.clear()
    assert watched.table.containers == {}
    assert watched.changes == 2
