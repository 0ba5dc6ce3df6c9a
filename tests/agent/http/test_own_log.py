"""`/v1/log`: for operators, and without the values of the node's secrets."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.store.node_secrets import NodeSecrets
from tests.agent.http.conftest import Served

PEM = b"-----BEGIN X-----\nAAAABBBBCCCC\n-----END X-----\n"


@pytest.fixture
def secrets(served: Served, tmp_path: Path) -> NodeSecrets:
    served.node.secrets = NodeSecrets(tmp_path / "secrets")
    return served.node.secrets


def tell(served: Served, text: str) -> None:
    served.node.own_log.handle(logging.LogRecord("x", logging.INFO, "f", 1, text, (), None))


async def test_values_of_secrets_are_not_in_it(served: Served, secrets: NodeSecrets) -> None:
    secrets.set("camera", b"hunter2hunter2\n")
    secrets.set("key", PEM)
    secrets.set("pin", b"17")  # so short that it would be everywhere
    tell(served, "camera says hunter2hunter2 at 17:17")
    tell(served, "key AAAABBBBCCCC")
    async with served.client("operator") as client:
        log = (await client.get("/v1/log")).json()
    assert log["source"] == "memory"
    assert [line.split(": ", 1)[1] for line in log["lines"]] == [
        "camera says <removed> at 17:17",
        "key <removed>",
    ]


async def test_viewers_do_not_read_it(served: Served) -> None:
    async with served.client("viewer") as client:
        answer = await client.get("/v1/log")
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.role")
