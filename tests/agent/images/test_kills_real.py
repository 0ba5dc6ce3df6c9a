"""An agent is killed in the other states that its jobs have; the next one ends them well."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import Any

import httpx
import msgspec
import pytest

from tests.agent.images.image_side import request
from tests.agent.images.loads import JSON, NEW, Loads
from tests.archives_made import Made, layer
from tests.waiting import wait_until

pytestmark = pytest.mark.real


def kill(loads: Loads) -> None:
    assert loads.agent.process is not None
    os.kill(loads.agent.process.pid, signal.SIGKILL)
    assert loads.end() == -signal.SIGKILL


def jobs_of(loads: Loads, kind: str) -> list[dict[str, Any]]:
    return [each for each in loads.agent.get("/v1/jobs") if each["kind"] == kind]


def test_killed_while_some_wait_for_others(loads: Loads) -> None:
    """One is in the runtime, one waits for its turn, and one is queued behind the same image."""
    old = loads.ids()
    loads.start("halfway", "hang")
    first = loads.load(NEW)
    wait_until((loads.folder / "reached").exists)
    other = loads.load(Made([layer("other", 50_000)], tags=["other:1"]))
    wait_until(lambda: loads.job(other)["stage"] == "waiting")
    behind = loads.ask(Made(NEW.layers, tags=["app:behind"]))
    assert loads.job(behind)["state"] == "queued"
    kill(loads)
    assert loads.ids() == old
    loads.start()
    for job in (first, other, behind):
        assert (loads.ended(job)["state"], loads.job(job)["problem"]) == ("succeeded", None)
    new = loads.ids()
    assert set(new) == {"app:1", "app:new", "app:behind", "other:1"}
    assert new["app:1"] == new["app:new"] == new["app:behind"] != old["app:1"]


def test_killed_while_room_is_made(loads: Loads) -> None:
    """The image that would have gone may be gone or not; the load goes on without it."""
    loads.start()
    spare = Made([layer("spare", 50_000)], tags=["spare:1"])
    assert loads.ended(loads.load(spare))["state"] == "succeeded"
    old = loads.ids()
    for data in NEW.layers:
        loads.send(data)
    asked = msgspec.structs.replace(request(NEW), make_room=True)
    planned = loads.post("/v1/images/plan", msgspec.json.encode(asked), **JSON)
    needed = sum(need["needed_bytes"] for need in planned["space"])
    assert loads.agent.stop() == 0
    loads.agent._environment["ROOST_TEST_FREE_BYTES"] = str(needed - 1000)
    loads.start("making room", "kill")
    with contextlib.suppress(httpx.HTTPError):  # it may have killed itself before it could answer
        loads.post("/v1/images/load", msgspec.json.encode(asked), **JSON)
    assert loads.end() == -signal.SIGKILL
    assert loads.ids() == old
    loads.start()
    [job] = [each for each in jobs_of(loads, "image.load") if each["subject"] == "app:1, app:new"]
    assert (loads.ended(job["id"])["state"], loads.job(job["id"])["problem"]) == ("succeeded", None)
    new = loads.ids()
    assert set(new) == {"app:1", "app:new", "spare:1"}
    assert new["app:1"] == new["app:new"] != old["app:1"]


def test_killed_while_a_file_is_placed(loads: Loads) -> None:
    """The file before is there until the new one is, whole."""
    loads.start()
    for data in (b"before", b"after" * 50_000):
        loads.send(data)
    assert loads.ended(loads.place(b"before"))["state"] == "succeeded"
    assert loads.agent.stop() == 0
    model = loads.folder / "state" / "models" / "detector.onnx"
    loads.start("placing", "kill")
    with contextlib.suppress(httpx.HTTPError):
        loads.place(b"after" * 50_000)
    assert loads.end() == -signal.SIGKILL
    assert model.read_bytes() == b"before"
    (model.parent / ".detector.onnx.x.tmp").write_bytes(b"aft")  # as far as it may have come
    loads.start()
    wait_until(lambda: all(job["state"] == "succeeded" for job in jobs_of(loads, "image.load")))
    assert model.read_bytes() == b"after" * 50_000
    assert [path.name for path in model.parent.iterdir()] == ["detector.onnx"]


def test_killed_while_an_image_is_removed(loads: Loads) -> None:
    loads.start("removing", "kill")
    with contextlib.suppress(httpx.HTTPError):
        loads.post("/v1/images/remove", json.dumps({"images": ["app:1"]}).encode(), **JSON)
    assert loads.end() == -signal.SIGKILL
    assert set(loads.ids()) == {"app:1"}
    loads.start()
    [job] = jobs_of(loads, "image.remove")
    assert loads.ended(job["id"])["result"] == {"app:1": "removed"}
    assert loads.ids() == {}


def test_killed_while_an_image_gets_a_name(loads: Loads) -> None:
    old = loads.ids()
    loads.start("tagging", "kill")
    asked = json.dumps({"image": "app:1", "tag": "app:stable"}).encode()
    with contextlib.suppress(httpx.HTTPError):
        loads.post("/v1/images/tag", asked, **JSON)
    assert loads.end() == -signal.SIGKILL
    assert loads.ids() == old
    loads.start()
    [job] = jobs_of(loads, "image.tag")
    assert loads.ended(job["id"])["state"] == "succeeded"
    assert loads.ids() == {"app:1": old["app:1"], "app:stable": old["app:1"]}
