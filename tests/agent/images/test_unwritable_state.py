"""An agent whose state folder cannot be used: it starts, shows what is there, and says why."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from agent.images.records import ImageRecords
from agent.protocol.images import LoadRequest, NodeImage
from agent.store.database import Database
from tests.agent.images.image_side import content
from tests.agent.images.layers import diff_id
from tests.agent_process import AgentProcess
from tests.archives_made import Made, layer

LAYER = layer("a")


def begin_upload(client: httpx.Client) -> httpx.Response:
    named = base64.b64encode(diff_id(LAYER).encode()).decode()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(LAYER)),
        "Upload-Metadata": f"diff_id {named}",
    }
    return client.post("/v1/uploads", headers=headers)


@pytest.mark.timeout(60)
def test_it_starts_says_why_and_goes_on_when_it_can(short_folder: Path) -> None:
    state = short_folder / "state"
    state.touch()
    with AgentProcess(short_folder) as agent, agent.client() as client:
        assert agent.get("/v1/node")["name"] == "under-test"
        body = msgspec.json.encode(LoadRequest(images=[content(Made([LAYER]))]))
        kind = {"Content-Type": "application/json"}
        for answer in (
            client.post("/v1/images/load", content=body, headers=kind),
            begin_upload(client),
            client.get("/v1/jobs"),
            client.post("/v1/images/import", json={"path": "/mnt/app.tar"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "store.failed")
            assert str(state) in answer.json()["detail"]
            assert answer.json()["hint"]
        state.unlink()
        while client.get("/v1/jobs").status_code != 200 or begin_upload(client).status_code != 201:
            time.sleep(0.1)
        assert client.get("/v1/jobs").json() == []
        assert agent.stop() == 0


@pytest.mark.timeout(60)
def test_a_place_where_nothing_can_be_written(short_folder: Path) -> None:
    with AgentProcess(short_folder, {"state": "/proc/roost"}) as agent:
        assert agent.get("/v1/node")["name"] == "under-test"
        assert agent.stop() == 0


def test_images_are_shown_and_none_may_go_where_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    records = ImageRecords(Database(tmp_path / "file" / "agent.db"))
    image = NodeImage(id="sha256:" + "1" * 64, diff_ids=[], size_bytes=1)
    [told] = records.told([image])
    assert told.id == image.id
    assert told.protected == "what Roost loaded is not known: The agent's database cannot be used"
