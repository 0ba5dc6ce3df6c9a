"""`/openapi.json`: the document, with the schemas that msgspec really enforces.

Litestar 2.25 loses `additionalProperties: false` of bodies that refuse unknown fields, loses a
lower bound of zero, requires each body, and knows nothing of problem+json; so the component schemas
are msgspec's own, the bounds are put back, bodies that may be left out say so, and every operation
names Problem as its answer to whatever goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.routes import HTTPRoute

from agent.live.facts import agent_version
from agent.protocol import (
    access,
    arms,
    compatibility,
    containers,
    deployments,
    engine_figures,
    engines,
    findings,
    gpus,
    image_builds,
    images,
    jobs,
    measures,
    node,
    node_files,
    node_secrets,
    packages,
    plan_request,
    signatures,
    site,
    snapshots,
    telemetry,
    upgrades,
    workloads,
)
from agent.protocol.problems import MEDIA_TYPE, Problem

_MODULES = (
    access,
    arms,
    compatibility,
    containers,
    deployments,
    engine_figures,
    engines,
    findings,
    gpus,
    image_builds,
    images,
    jobs,
    measures,
    node,
    node_files,
    node_secrets,
    packages,
    plan_request,
    signatures,
    site,
    snapshots,
    telemetry,
    upgrades,
    workloads,
)


def openapi_handler(describe: Callable[[OpenAPIConfig], Litestar]) -> HTTPRouteHandler:
    """The handler of `/openapi.json`.

    `describe` makes the application with an OpenAPI configuration, which costs a second copy
    of its routes: so it is made only when somebody asks, and only the document is kept.
    """
    made: list[bytes] = []

    @get("/openapi.json", include_in_schema=False)
    async def get_openapi() -> Response[bytes]:
        """The API, described."""
        if not made:
            config = OpenAPIConfig(title="Roost agent", version=agent_version())
            made.append(msgspec.json.encode(openapi_document(describe(config))))
        return Response(made[0], media_type="application/json")

    return get_openapi


def openapi_document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application that has an OpenAPIConfig."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    schemas = document["components"]["schemas"]
    ours = _schemas()
    document["components"]["schemas"] = {**schemas, **ours}
    problem = {
        "description": "What went wrong.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    at_least_zero = set(_parameters_from_zero(app))
    may_lack = set(_bodies_that_may_lack(app))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (path, method.upper()) in may_lack:
                operation["requestBody"]["required"] = False
            for parameter in operation.get("parameters", []):
                if (path, parameter["name"]) in at_least_zero:
                    parameter["schema"]["minimum"] = 0
            answers = operation["responses"]
            operation["responses"] = {
                **{status: each for status, each in answers.items() if status < "300"},
                "default": problem,
            }
    return document


def _parameters_from_zero(app: Litestar) -> Iterator[tuple[str, str]]:
    """(path, parameter) of the parameters that are refused below zero."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for name, field in handler.parsed_fn_signature.parameters.items():
                if getattr(field.kwarg_definition, "ge", None) == 0:
                    yield route.path_format, name


def _bodies_that_may_lack(app: Litestar) -> Iterator[tuple[str, str]]:
    """(path, method) of the operations whose body has a default."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            data = handler.parsed_fn_signature.parameters.get("data")
            if data is not None and data.has_default:
                yield from ((route.path_format, method) for method in handler.http_methods)


def _schemas() -> dict[str, Any]:
    types = [
        kind
        for module in _MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    _, components = msgspec.json.schema_components(
        [*types, Problem], ref_template="#/components/schemas/{name}"
    )
    for component in components.values():
        for schema in component.get("properties", {}).values():
            if schema.get("contentEncoding") == "base64":
                schema["format"] = "byte"  # what generators of clients and tests know
    return components
