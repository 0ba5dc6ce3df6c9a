"""The OpenAPI document against the agent that it describes, with each role, by schemathesis."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.schemas import BaseSchema

from agent.http.app import build_app
from agent.http.caller import Listener
from agent.node import Node
from agent.protocol.access import ROLES, Role
from agent.protocol.containers import ExecExit
from agent.protocol.problems import CODES
from tests.agent.doubles import EchoSession, FixedRuntime, make_node


class EndedSession(EchoSession):
    """An exec that has ended before anyone reads it: the fuzzer feeds no input."""

    async def output(self) -> Any:
        yield ExecExit(code=0)


ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")


async def started_node() -> Node:
    node = make_node()
    assert isinstance(node.runtime, FixedRuntime)
    node.runtime.session = EndedSession()
    await node.images.start(by_itself=False)  # it takes uploads
    await node.refresh_facts()
    await node.sampler.tick()
    return node


def load(role: Role) -> BaseSchema:
    node = asyncio.run(started_node())
    # The in-process client of schemathesis calls itself testserver:80.
    app = build_app({"testserver:80": Listener(node, "test", role)})
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    # What a schema cannot say: a config that is JSON, a path that is absolute.
    schema.config.checks.positive_data_acceptance.expected_statuses = [*ACCEPTED, "422"]
    # It never ends; tests/agent/http/test_resources.py reads it.
    return schema.exclude(path="/v1/events")


SCHEMAS = {role: load(role) for role in ROLES}


def check(case: schemathesis.Case[Any]) -> None:
    answer = case.call()
    case.validate_response(answer)
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["code"] in CODES
        assert problem["hint"]
        assert answer.status_code < 500 or problem["code"] == "runtime.unreachable"


def fuzz(examples: int) -> settings:
    """The bodies of workloads are large: making one takes a second of processor time."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


# Roles differ in who is refused, which a few examples show; operators get through to the most.
FEW, MANY = 4, 15


@SCHEMAS["viewer"].parametrize()
@fuzz(FEW)
@pytest.mark.timeout(240)
def test_a_viewer(case: schemathesis.Case[Any]) -> None:
    check(case)


@SCHEMAS["operator"].parametrize()
@fuzz(MANY)
@pytest.mark.timeout(240)
def test_an_operator(case: schemathesis.Case[Any]) -> None:
    check(case)


@SCHEMAS["admin"].parametrize()
@fuzz(FEW)
@pytest.mark.timeout(240)
def test_an_admin(case: schemathesis.Case[Any]) -> None:
    check(case)


def test_bodies_refuse_unknown_fields_in_the_document_too() -> None:
    schemas = SCHEMAS["admin"].raw_schema["components"]["schemas"]
    assert schemas["ExecRequest"]["additionalProperties"] is False
    assert schemas["TerminalSize"]["additionalProperties"] is False


def test_every_operation_names_problem_as_its_answer_to_errors() -> None:
    for path, operations in SCHEMAS["admin"].raw_schema["paths"].items():
        for operation in operations.values():
            content = operation["responses"]["default"]["content"]
            assert list(content) == ["application/problem+json"], path


def test_the_document_is_json_without_python_in_it() -> None:
    assert b"builtins" not in msgspec.json.encode(SCHEMAS["admin"].raw_schema)
