"""An agent process over a private Docker that stops where a test says so, and its console."""

from __future__ import annotations

import base64
import shlex
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from agent.protocol.images import LoadRequest
from agent.protocol.node_files import NodeFile
from tests.agent.images.image_side import content
from tests.agent.images.layers import diff_id
from tests.agent_process import AgentProcess
from tests.archives_made import Made, layer
from tests.real.runtime import PrivateRuntime
from tests.waiting import wait_until

BASE = layer("base", 300_000)
OLD = Made([BASE, layer("old", 300_000)], tags=["app:1"])
NEW = Made([BASE, layer("new", 400_000)], tags=["app:1", "app:new"])
JSON = {"Content-Type": "application/json"}
ENDED = {"succeeded", "failed", "cancelled", "interrupted"}


class Loads:
    """An agent over a private Docker, and a console that talks to it."""

    def __init__(self, folder: Path, runtime: PrivateRuntime, *, before: str = "") -> None:
        """`before` is a shell command that runs first each time, in the agent's own mounts."""
        self.runtime = runtime
        self.folder = folder
        self._before = before
        self.agent = AgentProcess(folder, {"runtime": runtime.url})

    def start(self, at: str = "", how: str = "") -> None:
        """The real one; or one that stops."""
        usual = words = self.agent._command
        if at:
            module = "tests.agent.images.stopping_agent"
            words = [sys.executable, "-m", module, self.agent.config, at, how]
        if self._before:
            script = f"{self._before} && exec {shlex.join(map(str, words))}"
            words = ["unshare", "--mount", "sh", "-c", script]
        self.agent._command = words
        self.agent.start()
        self.agent._command = usual

    @property
    def state(self) -> Path:
        """The state folder as the agent that runs sees it."""
        assert self.agent.process is not None
        return Path(f"/proc/{self.agent.process.pid}/root{self.folder}/state")

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

    def place(self, data: bytes) -> str:
        """Ask for a model of these bytes, which were sent before."""
        file = NodeFile(
            kind="model", name="detector.onnx", sha256=diff_id(data), size_bytes=len(data)
        )
        body = msgspec.json.encode(LoadRequest(files=[file]))
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
        wait_until(lambda: self.job(name)["state"] in ENDED)
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
    uploads = [path.suffix for path in (loads.state / "uploads").iterdir()]
    assert set(uploads) <= {".json"}
    blobs = {path.name for path in (loads.state / "blobs").iterdir()}
    assert blobs == {name[7:] for name in (*OLD.diff_ids, *NEW.diff_ids)}
