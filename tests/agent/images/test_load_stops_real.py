"""An agent is killed, stopped, or told to cancel, in each stage of a load; then it starts again."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent.protocol.images import LoadRequest
from tests.agent.images.image_side import content
from tests.agent.images.layers import diff_id
from tests.agent_process import AgentProcess
from tests.archives_made import Made, docker_archive, layer
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory
from tests.real.runtime import PrivateRuntime

pytestmark = pytest.mark.real

BASE = layer("base", 300_000)
OLD = Made([BASE, layer("old", 300_000)], tags=["app:1"])
NEW = Made([BASE, layer("new", 400_000)], tags=["app:1", "app:new"])
STAGES = ["planning", "receiving", "loading", "halfway", "verifying", "tagging"]
JSON = {"Content-Type": "application/json"}
ENDED = {"succeeded", "failed", "cancelled", "interrupted"}


class Loads:
    """An agent over a private Docker, and a console that talks to it."""

    def __init__(self, folder: Path, runtime: PrivateRuntime) -> None:
        self.runtime = runtime
        self.folder = folder
        self.agent = AgentProcess(folder, {"runtime": runtime.url})

    def start(self, at: str = "", how: str = "") -> None:
        """The real one; or one that stops."""
        command = [sys.executable, "-m", "tests.agent.images.stopping_agent"]
        usual = self.agent._command
        if at:
            self.agent._command = [*command, self.agent.config, at, how]
        self.agent.start()
        self.agent._command = usual

    def post(self, path: str, body: bytes = b"", **headers: str) -> Any:
        with self.agent.client() as client:
            answer = client.post(path, content=body, headers=headers)
            return answer.raise_for_status().json() if answer.content else dict(answer.headers)

    def load(self, made: Made) -> str:
        """Ask for it, with its layers sent before."""
        for data in made.layers:
            self.send(data)
        return self.ask(made)

    def ask(self, made: Made) -> str:
        body = msgspec.json.encode(LoadRequest(images=[content(made)]))
        job: str = self.post("/v1/images/load", body, **JSON)["id"]
        return job

    def send(self, data: bytes) -> None:
        """Plain tus; a layer that is there is not sent."""
        said = base64.b64encode(diff_id(data).encode()).decode()
        tus = {"Tus-Resumable": "1.0.0"}
        with self.agent.client() as client:
            answer = client.post(
                "/v1/uploads",
                headers={
                    **tus,
                    "Upload-Length": str(len(data)),
                    "Upload-Metadata": f"diff_id {said}",
                },
            )
            if answer.status_code == 409:
                return
            kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
            where = answer.raise_for_status().headers["Location"]
            client.patch(where, content=data, headers={**tus, **kind}).raise_for_status()

    def job(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.agent.get(f"/v1/jobs/{name}")
        return found

    def ended(self, name: str) -> dict[str, Any]:
        until(lambda: self.job(name)["state"] in ENDED)
        return self.job(name)

    def ids(self) -> dict[str, str]:
        """All images with a name, from the runtime itself."""
        lines = self.runtime.docker(
            "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"
        ).splitlines()
        found = dict(line.split(" ") for line in lines)
        return {
            tag: name for tag, name in found.items() if "roost-test/" not in tag and tag[0] != "<"
        }

    def staged(self) -> list[str]:
        return [tag for tag in self.ids() if tag.startswith("roost.local/")]

    def end(self) -> int:
        """Wait for the end of an agent that kills itself."""
        assert self.agent.process is not None
        return self.agent.process.wait(60)


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.02)


@pytest.fixture
def loads(short_folder: Path, graphdriver: DockerEngine) -> Iterator[Loads]:
    """The agent has loaded OLD, and does not run."""
    made = Loads(short_folder, graphdriver)
    try:
        made.start()
        assert made.ended(made.load(OLD))["state"] == "succeeded"
        assert made.agent.stop() == 0
        yield made
    finally:
        made.agent.close()


def ask(loads: Loads, stage: str) -> str:
    """Have NEW, from an agent that stops at that stage."""
    if stage == "receiving":
        return loads.ask(NEW)
    for data in NEW.layers:
        loads.send(data)
    try:
        return loads.ask(NEW)
    except httpx.HTTPError:
        return ""  # it killed itself before it could answer


def check_all_is_well(loads: Loads, old: dict[str, str]) -> None:
    """The new image, whole, under its tags; no other name and no stray file."""
    new = loads.ids()
    assert set(new) == {"app:1", "app:new"}
    assert new["app:1"] == new["app:new"] != old["app:1"]
    assert loads.runtime.docker("inspect", "--format", "{{.Id}}", old["app:1"]) == old["app:1"]
    layers = loads.runtime.docker("inspect", "--format", "{{json .RootFS.Layers}}", "app:1")
    assert msgspec.json.decode(layers) == NEW.diff_ids
    assert loads.runtime.docker("ps", "--all", "--quiet") == ""
    uploads = [path.suffix for path in (loads.folder / "state" / "uploads").iterdir()]
    assert set(uploads) <= {".json"}
    blobs = {path.name for path in (loads.folder / "state" / "blobs").iterdir()}
    assert blobs == {name[7:] for name in (*OLD.diff_ids, *NEW.diff_ids)}


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
    until((loads.folder / "reached").exists)
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
    until((loads.folder / "reached").exists)
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


@pytest.mark.parametrize("stage", ["reading", "unpacking"])
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
    assert loads.ids() == old
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
        until(lambda: loads.job(job["id"])["stage"] == "waiting for the runtime")
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
    until(lambda: loads.staged() == [])
    assert loads.ids() == {"app:1": old["app:1"]}
