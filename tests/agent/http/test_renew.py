"""`POST /v1/deployments/{id}/renew`: with a weight, with none, and without a body at all."""

from __future__ import annotations

import pytest

from tests.agent.http.conftest import Served


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 404, "deployment.not_found"),  # read, and there is no such deployment
        (b"{}", 404, "deployment.not_found"),
        (b'{"weight": 10}', 404, "deployment.not_found"),
        (b'{"weight": null}', 404, "deployment.not_found"),
        (b'{"weight": 101}', 400, "request.invalid"),
        (b'{"weight": -1}', 400, "request.invalid"),
        (b'{"weight": "10"}', 400, "request.invalid"),
        (b'{"share": 10}', 400, "request.invalid"),
    ],
)
async def test_the_body_may_be_left_out(
    served: Served, body: bytes, status: int, code: str
) -> None:
    async with served.client() as client:
        answer = await client.post("/v1/deployments/none/renew", content=body)
    assert answer.json()["code"] == code
    assert answer.status_code == status


async def test_the_document_says_so(served: Served) -> None:
    async with served.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    required = {
        path: operation["requestBody"]["required"]
        for path, operations in paths.items()
        for operation in operations.values()
        if "requestBody" in operation
    }
    assert [path for path, is_so in required.items() if not is_so] == [
        "/v1/deployments/{deployment}/renew"
    ]
    assert len(required) > 10
