"""What each resource answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import msgspec

from agent.http.caller import Listener
from agent.http.server import Servers
from agent.protocol.containers import ContainerChange
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuReport
from agent.protocol.node import NodeFacts
from agent.protocol.telemetry import History, Telemetry
from tests.agent.doubles import GPU, make_node
from tests.agent.http.conftest import Served


async def test_facts_say_the_role_and_the_clock(served: Served) -> None:
    async with served.client("viewer") as client:
        answer = await client.get("/v1/node")
    facts = msgspec.json.decode(answer.content, type=NodeFacts)
    assert (facts.name, facts.agent.role, facts.gpus) == ("t4", "viewer", [GPU])
    assert facts.now is not None
    assert answer.headers["roost-api-version"] == "1.0"


async def test_gpus_and_telemetry(served: Served) -> None:
    async with served.client() as client:
        report = msgspec.json.decode((await client.get("/v1/gpus")).content, type=GpuReport)
        latest = msgspec.json.decode((await client.get("/v1/telemetry")).content, type=Telemetry)
    assert report.samples[0].utilization_percent == 40.2
    assert latest.gpus == report.samples
    assert latest.containers[0].cpu_percent == 3.0


async def test_history_is_cut_to_what_was_asked(served: Served) -> None:
    for _ in range(5):
        await served.node.sampler.tick()
    async with served.client() as client:
        answer = await client.get(
            "/v1/telemetry/history",
            params={"metric": "temperature_celsius", "subject": GPU.uuid, "seconds": 3},
        )
    history = msgspec.json.decode(answer.content, type=History)
    assert history.resolution_seconds == 1
    assert [series.values for series in history.series] == [[50.0, 50.0, 50.0]]


async def test_containers_are_listed_and_stopped(served: Served) -> None:
    async with served.client() as client:
        (entry,) = (await client.get("/v1/containers")).json()
        assert entry["name"] == "detector"
        answer = await client.post("/v1/containers/detector/stop")
        change = msgspec.json.decode(answer.content, type=ContainerChange)
        assert (change.changed, change.container.state) == (True, "exited")
        again = await client.post("/v1/containers/detector/stop")
        assert again.json()["changed"] is False


async def test_logs_come_as_events_and_end(served: Served) -> None:
    async with served.client() as client:
        answer = await client.get("/v1/containers/detector/logs")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == (
        'event: lines\ndata: [{"text":"one"},{"text":"two","stream":"stderr"}]\n\n'
        "event: end\ndata: {}\n\n"
    )


async def test_a_problem_in_mid_stream_is_the_last_event(served: Served) -> None:
    async with served.client() as client:
        answer = await client.get("/v1/containers/detector/logs", params={"follow": True})
    assert answer.status_code == 200
    last = answer.text.strip().split("\n\n")[-1]
    assert last.startswith("event: problem\n")
    assert '"code":"runtime.unreachable"' in last


async def test_exec_takes_input_and_tells_the_exit(served: Served) -> None:
    async with (
        served.client() as client,
        client.stream(
            "POST", "/v1/containers/detector/exec", json={"command": ["cat"], "stdin": True}
        ) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "event: started"
        session = msgspec.json.decode((await anext(lines)).removeprefix("data: "))["id"]
        size = await client.post(f"/v1/execs/{session}/size", json={"columns": 100, "rows": 30})
        sent = await client.post(f"/v1/execs/{session}/input?close=true", content=b"hello")
        assert (size.status_code, sent.status_code) == (204, 204)
        rest = [line async for line in lines if line]
    assert rest == [
        "event: output",
        'data: {"stream":"stdout","data":"aGVsbG8="}',
        "event: exit",
        'data: {"code":0,"reason":null}',
    ]


async def test_an_exec_that_is_left_is_closed(served: Served) -> None:
    session = served.node.runtime.session  # type: ignore[attr-defined]
    async with (
        served.client() as client,
        client.stream("POST", "/v1/containers/detector/exec", json={"command": ["cat"]}) as answer,
    ):
        await anext(answer.aiter_lines())
    for _ in range(100):
        if session.closed:
            break
        await served.node.sampler.tick()
    assert session.closed


async def test_doctor_examines_now(served: Served) -> None:
    async with served.client() as client:
        answer = await client.get("/v1/doctor", params={"clock_offset_seconds": 1.5})
    report = msgspec.json.decode(answer.content, type=DoctorReport)
    assert report.findings[0].code == "gpu.persistence_off"
    assert served.node.events.sections["findings"]


async def test_health_is_open_and_ready_after_the_first_sample(served: Served) -> None:
    async with served.tls(None) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).status_code == 200
        served.node.ready.clear()
        assert (await client.get("/readyz")).status_code == 503


async def test_events_start_with_a_snapshot_and_resume(served: Served) -> None:
    async with served.client() as client:
        async with client.stream("GET", "/v1/events") as answer:
            lines = answer.aiter_lines()
            event_id = (await anext(lines)).removeprefix("id: ")
            assert await anext(lines) == "event: snapshot"
        gpus = served.node.gpu
        gpus.sample = msgspec.structs.replace(gpus.sample, temperature_celsius=61.0)  # type: ignore[attr-defined]
        await served.node.sampler.tick()
        async with client.stream(
            "GET", "/v1/events", headers={"Last-Event-ID": event_id}
        ) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            assert await anext(lines) == "event: change"
            data = msgspec.json.decode((await anext(lines)).removeprefix("data: "))
    assert data["set"]["gpus"] == {GPU.uuid: {"temperature_celsius": 61}}


async def test_before_the_first_sample_there_is_no_telemetry(short_folder: Path) -> None:
    node, servers = make_node(), Servers()
    path = short_folder / "agent.sock"
    servers.add_unix(path, Listener(node, "unix:agent.sock", "viewer"))
    serving = asyncio.create_task(servers.serve(until_signal=False))
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        for wanted in ("/v1/telemetry", "/v1/telemetry/history", "/v1/node", "/metrics"):
            answer = await client.get(wanted)
            assert (answer.status_code, answer.json()["code"]) == (503, "node.not_ready"), wanted
        await node.refresh_facts()
        await node.sampler.tick()
        assert (await client.get("/v1/telemetry")).status_code == 200
    servers.stop()
    await serving
