"""Roles, tokens, the audit log and problems."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from agent.http.app import HANDLERS
from agent.http.caller import READ_METHODS
from agent.http.token_watch import TokenWatch
from agent.protocol.access import AuditRecord
from agent.protocol.problems import CODES, Problem
from tests.agent.http.conftest import Served

MUTATING = ["/v1/containers/detector/stop", "/v1/execs/x/input", "/v1/containers/detector/exec"]


async def audit(served: Served) -> list[AuditRecord]:
    async with served.client("viewer") as client:
        answer = await client.get("/v1/audit")
    return msgspec.json.decode(answer.content, type=list[AuditRecord])


@pytest.mark.parametrize("path", MUTATING)
async def test_a_viewer_changes_nothing(served: Served, path: str) -> None:
    async with served.client("viewer") as client:
        answer = await client.post(path, json={"command": ["sh"]})
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert (answer.status_code, problem.code) == (403, "auth.role")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.hint
    (record,) = await audit(served)
    assert (record.outcome, record.role, record.owner) == ("auth.role", "viewer", "maria")


async def test_every_mutating_call_is_written_down(served: Served) -> None:
    async with served.client("operator", owner="joão") as client:
        await client.post("/v1/containers/detector/stop", params={"timeout_seconds": 3})
        await client.post("/v1/containers/nothing/start")
    failed, done = await audit(served)
    assert (done.action, done.subject, done.outcome) == (
        "container.stop",
        "container/detector",
        "done",
    )
    assert (done.owner, done.proof, done.origin) == ("joão", "stated", "unix:agent.sock")
    assert done.params == {"timeout_seconds": "3"}
    assert (failed.action, failed.outcome) == ("container.start", "container.not_found")


async def test_key_strokes_are_not_written_down_one_by_one(served: Served) -> None:
    async with (
        served.client() as client,
        client.stream("POST", "/v1/containers/detector/exec", json={"command": ["cat"]}) as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        await client.post("/v1/execs/exec-1/input", content=b"x")
        await client.post("/v1/execs/exec-1/input", params={"close": True})
        assert [line async for line in lines][-3] == "event: exit"
    (record,) = await audit(served)
    assert (record.action, record.params) == ("container.exec", {"command": "cat"})


# A question that needs a body: a POST that changes nothing.
QUESTIONS = {"plan_images", "plan_pin", "plan_workloads", "list_held"}


def test_every_mutating_route_wants_more_than_a_viewer() -> None:
    routes = [each for each in HANDLERS if not each.http_methods <= READ_METHODS]
    assert routes
    for handler in routes:
        if handler.handler_name not in QUESTIONS:
            assert handler.opt.get("role") in {"operator", "admin"}, handler.handler_name


async def test_tokens_carry_the_role(served: Served) -> None:
    operator = served.node.tokens.make("maria", "operator")
    async with served.tls(operator) as client:
        assert (await client.get("/v1/node")).json()["agent"]["role"] == "operator"
        assert (await client.post("/v1/containers/detector/restart")).status_code == 200
    (record,) = await audit(served)
    assert (record.owner, record.proof) == ("maria", "token")
    assert record.origin.startswith("https:127.0.0.1")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "auth.missing"),
        ("roost_wrong", "auth.token_unknown"),
        ("EXPIRED", "auth.token_expired"),
    ],
)
async def test_https_without_a_good_token(served: Served, token: str | None, code: str) -> None:
    if token == "EXPIRED":
        token = served.node.tokens.make("old", "admin", lifetime_seconds=-1)
    async with served.tls(token) as client:
        answer = await client.get("/v1/node")
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert (answer.status_code, problem.code) == (401, code)
    assert problem.hint
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_token_is_worthless_at_once(served: Served) -> None:
    token = served.node.tokens.make("maria", "viewer")
    async with served.tls(token) as client:
        assert (await client.get("/v1/node")).status_code == 200
        served.node.tokens.revoke("maria")
        assert (await client.get("/v1/node")).status_code == 401


async def test_a_stream_ends_with_its_token(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenWatch, "look_every_seconds", 0.05)
    token = served.node.tokens.make("maria", "viewer")
    async with (
        served.tls(token) as client,
        client.stream("GET", "/v1/events", timeout=None) as answer,
    ):
        chunks = answer.aiter_bytes()
        await anext(chunks)
        await asyncio.sleep(0.2)  # looked at, and found good
        served.node.events.update({"jobs": {"": {"stage": "still here"}}})
        while b"still here" not in await anext(chunks):
            pass  # what the node says beside
        served.node.tokens.revoke("maria")
        _ = [chunk async for chunk in chunks]
    async with served.tls(token) as client:
        assert (await client.get("/v1/events")).status_code == 401


def test_secrets_are_not_in_the_database(served: Served) -> None:
    secret = served.node.tokens.make("maria", "viewer")
    rows = served.node.tokens._database.rows("SELECT * FROM tokens")
    assert secret not in repr([tuple(row) for row in rows])
    (token,) = served.node.tokens.list()
    assert token.created_at <= time.time()


@pytest.mark.parametrize(
    ("method", "path", "code", "status"),
    [
        ("GET", "/v1/nothing", "request.not_found", 404),
        ("GET", "/nothing", "request.not_found", 404),
        ("PATCH", "/v1/node", "request.method", 405),
        ("GET", "/v1/telemetry/history?seconds=-1", "request.invalid", 400),
        ("GET", "/v1/telemetry/history?metric=joy", "request.invalid", 400),
        ("GET", "/v1/audit?limit=many", "request.invalid", 400),
        ("POST", "/v1/containers/detector/explode", "request.invalid", 400),
        ("GET", "/v1/containers/nothing", "container.not_found", 404),
        ("GET", "/v1/containers/nothing/logs", "container.not_found", 404),
        ("POST", "/v1/execs/nothing/input", "exec.not_found", 404),
    ],
)
async def test_bad_requests_are_problems(
    served: Served, method: str, path: str, code: str, status: int
) -> None:
    async with served.client() as client:
        answer = await client.request(method, path)
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert (answer.status_code, problem.code, problem.status) == (status, code, status)
    assert problem.title == CODES[code].title
    assert problem.hint


async def test_an_unknown_key_in_a_body_is_refused(served: Served) -> None:
    async with served.client() as client:
        answer = await client.post(
            "/v1/containers/detector/exec", json={"command": ["sh"], "comand": ["sh"]}
        )
    assert answer.status_code == 400
    assert "comand" in answer.json()["detail"]


async def test_a_mistake_of_ours_does_not_show_its_insides(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(limit: int) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(served.node.audit, "newest", broken)
    async with served.client() as client:
        answer = await client.get("/v1/audit")
    assert (answer.status_code, answer.json()["code"]) == (500, "node.internal")
    assert "hunter2" not in answer.text


async def test_the_origin_is_who_connected_whatever_the_headers_say(served: Served) -> None:
    token = served.node.tokens.make("maria", "operator")
    async with served.tls(token) as client:
        await client.post(
            "/v1/containers/detector/stop", headers={"X-Forwarded-For": "203.0.113.9"}
        )
    (record,) = await audit(served)
    assert record.origin == "https:127.0.0.1"
