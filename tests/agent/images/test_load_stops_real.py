"""An agent is killed, stopped, or told to cancel, in each stage of a load; then it starts again."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path

import httpx
import pytest

from agent.images.loading import RUNTIME_STAGE
from tests.agent.images.loads import JSON, NEW, Loads, ask, check_all_is_well
from tests.archives_made import docker_archive
from tests.real.fixtures import DockerEngineFactory
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STAGES = ["planning", "receiving", "loading", "halfway", "verifying", "tagging"]


@pytest.mark.parametrize("stage", STAGES)
def test_killed(loads: Loads, stage: str) -> None:
    old = loads.ids()
    loads.start(stage, "kill")
    ask(loads, stage)
    assert loads.end() == -9
    assert loads.ids()["app:1"] == old["app:1"]
    assert bool(loads.staged()) == (stage in {"verifying", "tagging"})
    loads.start()
    [job] = [each for each in loads.agent.get("/v1/jobs") if each["subject"] == "app:1, app:new"]
    if stage == "receiving":
        loads.send(NEW.layers[1])
    job = loads.ended(job["id"])
    assert (job["state"], job["problem"]) == ("succeeded", None)
    check_all_is_well(loads, old)


@pytest.mark.parametrize("stage", STAGES)
def test_stopped(loads: Loads, stage: str) -> None:
    """SIGTERM: it puts in order what it can, and the next one goes on."""
    old = loads.ids()
    loads.start(stage, "hang")
    job = ask(loads, stage)
    wait_until((loads.folder / "reached").exists)
    assert loads.agent.stop() == 0
    assert loads.ids() == old
    loads.start()
    if stage == "receiving":
        loads.send(NEW.layers[1])
    assert loads.ended(job)["state"] == "succeeded"
    check_all_is_well(loads, old)


@pytest.mark.parametrize("stage", STAGES)
def test_cancelled(loads: Loads, stage: str) -> None:
    """All is as it was before; asked for once more, it is loaded."""
    old = loads.ids()
    loads.start(stage, "hang")
    job = ask(loads, stage)
    wait_until((loads.folder / "reached").exists)
    loads.post(f"/v1/jobs/{job}/cancel")
    ended = loads.ended(job)
    assert (ended["state"], ended["problem"]) == ("cancelled", None)
    assert ended["reason"].startswith("cancelled by")
    assert loads.ids() == old
    assert loads.agent.stop() == 0
    loads.start()
    assert loads.job(job)["state"] == "cancelled"
    again = loads.post(f"/v1/jobs/{job}/retry")
    if stage == "receiving":
        loads.send(NEW.layers[1])
    assert again["parent"] == job
    assert loads.ended(again["id"])["state"] == "succeeded"
    check_all_is_well(loads, old)


@pytest.mark.parametrize("stage", ["reading", "unpacking", *STAGES[2:], "planning"])
def test_an_import_that_was_killed(loads: Loads, tmp_path: Path, stage: str) -> None:
    path = tmp_path / "new.tar.gz"
    path.write_bytes(gzip.compress(docker_archive([NEW]), 1))
    old = loads.ids()
    loads.start(stage, "kill")
    with contextlib.suppress(httpx.HTTPError):  # it may have killed itself before it could answer
        loads.post("/v1/images/import", json.dumps({"path": str(path)}).encode(), **JSON)
    assert loads.end() == -9
    stray = loads.folder / "state" / "uploads" / "import-0123456789ab"
    stray.write_bytes(b"half a layer")
    assert loads.ids()["app:1"] == old["app:1"]
    assert bool(loads.staged()) == (stage in {"verifying", "tagging"})
    loads.start()
    [job] = [each for each in loads.agent.get("/v1/jobs") if each["kind"] == "image.import"]
    assert loads.ended(job["id"])["state"] == "succeeded"
    assert not stray.exists()
    check_all_is_well(loads, old)


def test_a_runtime_that_is_back_later_than_the_agent(
    short_folder: Path, docker_engine_factory: DockerEngineFactory
) -> None:
    """As after a power cut: the job waits for it, and goes on."""
    engine = docker_engine_factory()
    loads = Loads(short_folder, engine)
    try:
        loads.start("verifying", "kill")
        ask(loads, "verifying")
        assert loads.end() == -9
        engine.kill()
        loads.start()
        [job] = loads.agent.get("/v1/jobs")
        wait_until(lambda: loads.job(job["id"])["stage"] == RUNTIME_STAGE)
        engine.start()
        assert loads.ended(job["id"])["state"] == "succeeded"
        assert set(loads.ids()) == {"app:1", "app:new"}
    finally:
        loads.agent.close()


def test_what_a_killed_agent_staged_goes_also_without_its_job(loads: Loads) -> None:
    """A job of which nothing is known any more."""
    loads.runtime.docker("tag", "app:1", "roost.local/staging:0123456789ab-0")
    old = loads.ids()
    loads.start()
    wait_until(lambda: loads.staged() == [])
    assert loads.ids() == {"app:1": old["app:1"]}
