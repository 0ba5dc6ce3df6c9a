"""The OpenAPI document against the agent that it describes, with each role, by schemathesis."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.pytest.lazy import get_all_tests
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


# It never ends; tests/agent/http/test_resources.py reads it.
ENDLESS = "/v1/events"
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
    return schema


SCHEMAS = {role: load(role) for role in ROLES}


def check(case: schemathesis.Case[Any]) -> None:
    answer = case.call()
    case.validate_response(answer)
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["code"] in CODES
        assert problem["hint"]
        assert answer.status_code < 500 or problem["code"] == "runtime.unreachable"


def fuzz(role: Role, operation: str, examples: int) -> None:
    """Call one operation with what schemathesis thinks up.

    It does so here and not while tests are collected: every worker would do all of it, 150 cases
    for each operation and role, before its first test.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def bounded(case: schemathesis.Case[Any]) -> None:
        check(case)

    method, path = operation.split()
    schema = SCHEMAS[role].include(path=path, method=method)
    load_all_checks()
    [made] = get_all_tests(schema=schema, test_func=bounded, settings=None, given_kwargs=None)
    assert isinstance(made, Ok)
    _, test = made.ok()
    test()


OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in SCHEMAS["viewer"].raw_schema["paths"].items()
    for method in operations
    if path != ENDLESS
]
operations = pytest.mark.parametrize("operation", OPERATIONS)
# The bodies of workloads are large: making one takes a second of processor time.
patient = pytest.mark.timeout(240)
# Roles differ in who is refused, which a few examples show; operators get through to the most.
FEW, MANY = 4, 15


@operations
@patient
def test_a_viewer(operation: str) -> None:
    fuzz("viewer", operation, FEW)


@operations
@patient
def test_an_operator(operation: str) -> None:
    fuzz("operator", operation, MANY)


@operations
@patient
def test_an_admin(operation: str) -> None:
    fuzz("admin", operation, FEW)


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
