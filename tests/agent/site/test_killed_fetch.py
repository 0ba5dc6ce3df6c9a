"""A node's agent is killed while it fetches from a seed; the next one fetches the rest."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent.http.test_uploads_real import begin, send
from tests.agent.images.layers import diff_id, noise
from tests.agent_process import AgentProcess, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(60)

LAYERS = [noise(1_000_000, seed=1), noise(2_000_000, seed=2)]


def post(agent: AgentProcess, path: str, words: object) -> Any:
    with agent.client() as client:
        return client.post(path, json=words).raise_for_status().json()


@pytest.fixture
def agents(make_short_folder: Callable[[], Path]) -> Iterator[tuple[AgentProcess, AgentProcess]]:
    """A seed that has the layers, and a node that does not run yet."""
    seed = AgentProcess(make_short_folder(), {"site_listen": f"127.0.0.1:{free_port()}"})
    node = AgentProcess(make_short_folder())
    try:
        with seed, seed.client() as client:
            for layer in LAYERS:
                send(client, begin(client, layer, length=len(layer)), layer, 0)
            yield seed, node
    finally:
        node.close()


def test_it_goes_on(agents: tuple[AgentProcess, AgentProcess]) -> None:
    seed, node = agents
    names = [diff_id(layer) for layer in LAYERS]
    grant = post(seed, "/v1/site/grants", {"diff_ids": names})
    layers = [
        {"diff_id": name, "size_bytes": len(layer)}
        for name, layer in zip(names, LAYERS, strict=True)
    ]
    usual = node._command
    module = "tests.agent.images.stopping_agent"
    node._command = [sys.executable, "-m", module, node.config, "fetching", "kill"]
    node.start()
    with contextlib.suppress(httpx.HTTPError):  # it may have killed itself before it could answer
        post(node, "/v1/site/fetches", {"grant": grant, "layers": layers})
    assert node.process is not None
    assert node.process.wait(30) == -signal.SIGKILL
    node._command = usual
    node.start()
    [job] = node.get("/v1/jobs")
    wait_until(lambda: node.get(f"/v1/jobs/{job['id']}")["state"] == "succeeded")
    blobs = node.folder / "state" / "blobs"
    assert {path.name: path.read_bytes() for path in blobs.iterdir()} == {
        name[7:]: layer for name, layer in zip(names, LAYERS, strict=True)
    }
