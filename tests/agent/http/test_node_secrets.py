"""`/v1/secrets` of a real agent: only an admin gets near, and a value is written to one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.protocol.node_secrets import SECRET_LIMIT_BYTES
from tests.agent_process import AgentProcess

VALUE = b"correct horse battery staple"
OTHER = b"\x00\xffbinary, too\n"


@pytest.fixture
def agent(short_folder: Path) -> Iterator[AgentProcess]:
    with AgentProcess(short_folder, {"secrets": str(short_folder / "secrets")}) as agent:
        yield agent


def put(client: httpx.Client, name: str, value: bytes) -> httpx.Response:
    return client.put(f"/v1/secrets/{name}", content=value)


def written(folder: Path) -> dict[str, bytes]:
    """All that lies in the agent's folder and is no secret."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "secrets"
    }


def test_an_admin_sets_replaces_and_removes(agent: AgentProcess) -> None:
    folder = agent.folder / "secrets"
    with agent.client("admin") as client:
        assert client.get("/v1/secrets").json() == []
        first = put(client, "camera", VALUE)
        assert (first.status_code, first.json()["name"]) == (200, "camera")
        assert (folder / "camera").read_bytes() == VALUE
        put(client, "camera", OTHER)
        assert (folder / "camera").read_bytes() == OTHER
        [listed] = client.get("/v1/secrets").json()
        assert set(listed) == {"name", "set_at", "used_by"}
        assert client.delete("/v1/secrets/camera").status_code == 204
        assert list(folder.iterdir()) == []
        gone = client.delete("/v1/secrets/camera")
        assert (gone.status_code, gone.json()["code"]) == (404, "secret.not_found")


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_nobody_else_does_anything(agent: AgentProcess, role: str) -> None:
    with agent.client(role) as client:
        answers = [
            put(client, "camera", VALUE),
            client.get("/v1/secrets"),
            client.delete("/v1/secrets/camera"),
        ]
    assert [answer.json()["code"] for answer in answers] == ["auth.role"] * 3
    assert not (agent.folder / "secrets").exists()


def test_nothing_that_an_agent_writes_or_answers_has_the_value(agent: AgentProcess) -> None:
    """Also where setting it fails, under a name that is none, and as the body of other calls."""
    with agent.client("admin") as client:
        answers = [
            put(client, "camera", VALUE),
            put(client, ".camera", VALUE),
            put(client, "camera/deep", VALUE),
            put(client, "large", VALUE * (SECRET_LIMIT_BYTES // len(VALUE) + 1)),
            client.post("/v1/secrets/camera", content=VALUE),
            client.post("/v1/workloads", content=VALUE),
            client.get("/v1/secrets"),
            client.get("/v1/audit"),
            client.get("/v1/jobs"),
        ]
        with agent.client("operator") as operator:
            answers.append(put(operator, "camera", VALUE))
        (agent.folder / "secrets").rename(agent.folder / "elsewhere")
        (agent.folder / "secrets").write_text("no folder")
        answers.append(put(client, "camera", VALUE))
        assert answers[-1].json()["code"] == "secret.storage"
        (agent.folder / "secrets").unlink()
        (agent.folder / "elsewhere").rename(agent.folder / "secrets")
    codes = [answer.status_code for answer in answers]
    assert codes == [200, 400, 404, 413, 405, 400, 200, 200, 200, 403, 503]
    assert all(VALUE not in answer.content for answer in answers)
    with agent.client("admin") as client:
        records = [r for r in client.get("/v1/audit").json() if r["action"] == "secret.set"]
    assert {record["subject"] for record in records} == {"secret/camera", "secret/large"}
    assert all(record["params"] == {} for record in records)
    assert agent.stop() == 0
    found = written(agent.folder)
    assert {"state/agent.db", "agent.log", "agent.yaml"} <= set(found)
    assert [name for name, data in found.items() if VALUE in data] == []
