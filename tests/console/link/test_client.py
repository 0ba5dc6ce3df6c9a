"""The typed client against the agent's real application."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from agent.protocol.containers import ExecExit, ExecOutput, ExecRequest, LogLine
from agent.protocol.gpus import GpuSample
from agent.protocol.live import Change, Snapshot
from agent.protocol.problems import ProblemError
from agent.rules.service import is_service, start_command
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from tests.agent.doubles import DETECTOR, GPU, FixedGpus, FixedRuntime
from tests.console.serving import ServedAgent


@pytest.fixture
async def client(served: ServedAgent) -> AsyncIterator[NodeClient]:
    client = NodeClient("t4", UnixLink("t4", parse_address(served.entry.address)), owner="maria@pc")
    yield client
    await client.close()


async def test_reading(client: NodeClient) -> None:
    facts = await client.node()
    assert (facts.name, facts.agent.role) == ("t4", "operator")
    assert [gpu.uuid for gpu in (await client.gpus()).gpus] == [GPU.uuid]
    assert (await client.telemetry()).gpus[0].utilization_percent == pytest.approx(40.2)
    history = await client.history(metric="utilization_percent", seconds=60)
    assert {series.metric for series in history.series} == {"utilization_percent"}
    assert await client.containers() == [DETECTOR]
    assert (await client.container("detector")).container == DETECTOR


async def test_the_clock_is_compared(client: NodeClient) -> None:
    _, offset, uncertainty = await client.node_and_clock()
    assert offset is not None
    assert abs(offset) <= uncertainty + 0.01  # it is one and the same clock
    report = await client.doctor(clock_offset_seconds=offset, clock_uncertainty_seconds=uncertainty)
    assert [finding.code for finding in report.findings] == ["gpu.persistence_off"]


async def test_an_agents_problem_arrives_whole(client: NodeClient) -> None:
    with pytest.raises(ProblemError) as caught:
        await client.container("weird name?x=1#")
    assert (caught.value.code, caught.value.hint) == ("container.not_found", "ls")
    assert "weird name?x=1#" in caught.value.detail


async def test_acting_is_audited_under_our_name(client: NodeClient) -> None:
    change = await client.act("detector", "stop", timeout_seconds=3)
    assert (change.changed, change.container.state) == (True, "exited")
    (record,) = await client.audit()
    assert (record.owner, record.action) == ("maria@pc", "container.stop")
    assert record.params == {"timeout_seconds": "3"}


async def test_one_connection_serves_many_requests(
    client: NodeClient, served: ServedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = UnixLink.connect

    async def counted(link: UnixLink) -> object:
        opened.append(link)
        return await connect(link)

    monkeypatch.setattr(UnixLink, "connect", counted)
    for _ in range(5):
        await client.node()
    assert len(opened) == 1


async def test_logs(client: NodeClient) -> None:
    batches = [batch async for batch in client.logs("detector")]
    assert batches == [[LogLine(text="one"), LogLine(text="two", stream="stderr")]]


async def test_a_problem_in_the_middle_of_logs(client: NodeClient) -> None:
    lines = client.logs("detector", follow=True)
    assert len(await anext(lines)) == 2
    with pytest.raises(ProblemError) as caught:
        await anext(lines)
    assert caught.value.code == "runtime.unreachable"


async def test_exec(client: NodeClient, served: ServedAgent) -> None:
    exec_ = await client.exec("detector", ExecRequest(command=["cat"], tty=True, stdin=True))
    await exec_.resize(100, 30)
    await exec_.write(b"\x00\xff hello")
    await exec_.end_input()
    assert [piece async for piece in exec_.output()] == [
        ExecOutput(stream="stdout", data=b"\x00\xff hello"),
        ExecExit(code=0),
    ]
    runtime = served.node.runtime
    assert isinstance(runtime, FixedRuntime)
    assert runtime.session.size == (100, 30)
    await exec_.resize(10, 10)  # has ended: nobody minds
    exec_.close()


async def test_live_events_and_resuming(client: NodeClient, served: ServedAgent) -> None:
    stream = await client.events()
    (event,) = await stream.read()
    snapshot = msgspec.json.decode(event.data, type=Snapshot)
    assert event.name == "snapshot"
    assert abs(snapshot.at - time.time()) < 5
    assert snapshot.sections["gpus"][GPU.uuid]["name"] == GPU.name
    stream.close()

    gpus = served.node.gpu
    assert isinstance(gpus, FixedGpus)
    gpus.sample = GpuSample(uuid=GPU.uuid, utilization_percent=77.0)
    stream = await client.events(event.id)
    (event, *_) = await stream.read()
    assert event.name == "change"
    change = msgspec.json.decode(event.data, type=Change)
    assert change.set["gpus"][GPU.uuid]["utilization_percent"] == 77
    assert stream.bytes_received > 100
    stream.close()


async def test_a_viewer_may_not_act(served: ServedAgent) -> None:
    link = UnixLink("t4", parse_address(f"unix://{served.view_socket}"))
    client = NodeClient("t4", link, owner="maria")
    with pytest.raises(ProblemError) as caught:
        await client.act("detector", "restart")
    assert caught.value.code == "auth.role"
    assert caught.value.hint is not None
    await client.close()


async def test_nobody_listens(served: ServedAgent) -> None:
    for path in ("/nowhere/agent.sock", str(served.socket.parent / "tls.crt")):
        client = NodeClient("t4", UnixLink("t4", parse_address(f"unix://{path}")), owner="maria")
        with pytest.raises(ProblemError) as caught:
            await client.node()
        assert caught.value.code == "link.socket_missing"
        assert path in caught.value.detail
        started = start_command(service=await asyncio.to_thread(is_service, os.path.exists))
        assert (caught.value.hint or "").endswith(started)
