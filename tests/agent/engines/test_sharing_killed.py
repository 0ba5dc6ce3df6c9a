"""An agent that is killed (SIGKILL) while it takes another one's engine, and the next one."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests import onnx_made
from tests.agent.engines.engine_side import recipe, rtx_stand_in
from tests.agent_process import AgentProcess

pytestmark = pytest.mark.timeout(60)


def post(agent: AgentProcess, path: str, words: object) -> Any:
    with agent.client() as client:
        return client.post(path, json=words).raise_for_status().json()


def ended(agent: AgentProcess) -> Any:
    """Its only job."""
    while (job := agent.get("/v1/jobs")[0])["state"] in ("queued", "running"):
        time.sleep(0.05)
    return job


@pytest.mark.parametrize("stage", ["fetching", "checking"])
def test_it_goes_on(make_short_folder: Callable[[], Path], stage: str) -> None:
    seed_folder, folder = make_short_folder(), make_short_folder()
    (seed_folder / "detector.onnx").write_bytes(onnx_made.detector(blocks=1))
    wanted = msgspec.to_builtins(recipe(seed_folder / "detector.onnx"))
    engines = {"python": str(rtx_stand_in(seed_folder))}
    seed = AgentProcess(seed_folder, {"engines": engines, "site_listen": "127.0.0.1:0"})
    # What is fetched is only tried.
    engines = {"python": str(rtx_stand_in(folder, "assert job['action'] == 'check'"))}
    node = AgentProcess(folder, {"engines": engines})
    usual = node._command
    module = "tests.agent.images.stopping_agent"
    node._command = [sys.executable, "-m", module, node.config, stage, "kill"]
    with seed, node:
        post(seed, "/v1/engines/build", {"recipe": wanted})
        assert ended(seed)["state"] == "succeeded"
        (engine,) = seed.get("/v1/engines")
        made = engine["manifest"]
        digest = f"sha256:{made['plan_sha256']}"
        shared = {
            "grant": post(seed, "/v1/site/grants", {"diff_ids": [digest]}),
            **{name: made[name] for name in ("key", "plan_sha256", "plan_bytes", "build_seconds")},
        }
        with contextlib.suppress(httpx.HTTPError):  # it may be dead before it has answered
            post(node, "/v1/engines/build", {"recipe": wanted, "shared": shared})
        assert node.process is not None
        assert node.process.wait(30) == -signal.SIGKILL
        node._command = usual
        node.start()
        job = ended(node)
        assert (job["problem"], job["result"].get("engine")) == (None, "shared")
        (taken,) = node.get("/v1/engines")
        assert taken["current"]
        state = folder / "state"
        there = {each.name for each in (state / "engines" / "detector").iterdir()}
        assert there == {made["key"], "current"}
        assert not [*(state / "blobs").iterdir(), *(state / "uploads").glob("*.data")]
