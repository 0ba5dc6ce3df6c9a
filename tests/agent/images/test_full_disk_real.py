"""The agent's own disk fills up in each stage of a load: what is told, what stays, what goes on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent.images.loads import ENDED, NEW, OLD, Loads, ask, check_all_is_well
from tests.agent.images.stopping_agent import fill
from tests.real.docker_engine import DockerEngine
from tests.waiting import wait_until

pytestmark = pytest.mark.real("filesystem")

# Loads keep 128 MiB of it free.
DISK = (
    "if ! test -e {disk}; then truncate -s 200M {disk} && mkfs.ext4 -q {disk}; fi"
    " && mkdir -p {state} && mount -o loop {disk} {state}"
)


@pytest.fixture
def on_small_disk(short_folder: Path, graphdriver: DockerEngine) -> Iterator[Loads]:
    """An agent with its state on a small filesystem has loaded OLD, and does not run."""
    before = DISK.format(disk=short_folder / "disk", state=short_folder / "state")
    made = Loads(short_folder, graphdriver, before=before)
    try:
        made.start()
        assert made.ended(made.load(OLD))["state"] == "succeeded"
        assert made.agent.stop() == 0
        yield made
    finally:
        made.agent.close()


def make_room(loads: Loads) -> None:
    filler = loads.state / "filler"
    assert filler.stat().st_size > 100_000_000
    filler.unlink()


def check_refused(answer: httpx.Response) -> None:
    """By whichever came first: the layers' disk, or the audit log on the same one."""
    problem = answer.json()
    assert problem["code"] in {"space.full", "space.short", "store.failed"}
    assert problem["hint"]
    assert answer.status_code in {503, 507}


def stands(loads: Loads, job: str) -> bool:
    """Whether it has ended, or says that its end cannot be written."""
    now = loads.job(job)
    return now["state"] in ENDED or "cannot be written" in (now["reason"] or "")


@pytest.mark.parametrize("stage", ["planning", "loading", "halfway", "verifying", "tagging"])
def test_full_from_a_stage_on(on_small_disk: Loads, stage: str) -> None:
    """The tag names the old image or the new one, whole; with room it is done, and nothing left."""
    loads = on_small_disk
    old = loads.ids()
    loads.start(stage, "fill")
    job = ask(loads, stage)
    wait_until((loads.folder / "reached").exists)
    wait_until(lambda: stands(loads, job))
    layers = loads.runtime.docker("inspect", "--format", "{{json .RootFS.Layers}}", "app:1")
    assert json.loads(layers) in (OLD.diff_ids, NEW.diff_ids)
    make_room(loads)
    ended = loads.ended(job)
    if ended["state"] == "failed":
        assert ended["problem"]["code"] in {"space.short", "space.full", "store.failed"}
        assert ended["problem"]["hint"]
        assert loads.ids() == old
        ended = loads.ended(loads.post(f"/v1/jobs/{job}/retry")["id"])
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert loads.agent.stop() == 0
    loads.start()
    check_all_is_well(loads, old)


def test_full_while_a_file_is_placed(on_small_disk: Loads) -> None:
    """What was there is there until the new one is whole; what was half written is gone."""
    loads = on_small_disk
    loads.start()
    model = random.randbytes(3_000_000)
    for data in (b"before", model):
        loads.send(data)
    assert loads.ended(loads.place(b"before"))["state"] == "succeeded"
    assert loads.agent.stop() == 0
    loads.start("placing", "fill")
    job = loads.place(model)
    wait_until((loads.folder / "reached").exists)
    wait_until(lambda: stands(loads, job))
    place = loads.state / "models" / "detector.onnx"
    assert place.read_bytes() == b"before"
    assert [path.name for path in place.parent.iterdir()] == ["detector.onnx"]
    make_room(loads)
    ended = loads.ended(job)
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "space.full")
    assert ended["problem"]["hint"]
    again = loads.ended(loads.post(f"/v1/jobs/{job}/retry")["id"])
    assert (again["state"], again["problem"]) == ("succeeded", None)
    assert place.read_bytes() == model


def test_full_while_layers_come(on_small_disk: Loads) -> None:
    """The layer is refused, the job waits for it still."""
    loads = on_small_disk
    old = loads.ids()
    loads.start("receiving", "fill")
    job = loads.ask(NEW)
    wait_until((loads.folder / "reached").exists)
    with pytest.raises(httpx.HTTPStatusError) as raised:
        loads.send(NEW.layers[1])
    check_refused(raised.value.response)
    assert loads.job(job)["state"] == "running"
    assert loads.ids() == old
    make_room(loads)
    loads.send(NEW.layers[1])
    assert loads.ended(job)["state"] == "succeeded"
    assert loads.agent.stop() == 0
    loads.start()
    check_all_is_well(loads, old)


def test_full_before_anything_is_asked_for(on_small_disk: Loads) -> None:
    """Nothing is promised that cannot be remembered."""
    loads = on_small_disk
    old = loads.ids()
    loads.start()
    others = loads.state / "filler"
    fill(others)
    with pytest.raises(httpx.HTTPStatusError) as raised:
        loads.ask(NEW)
    check_refused(raised.value.response)
    assert loads.ids() == old
    make_room(loads)
    assert loads.ended(loads.load(NEW))["state"] == "succeeded"
    check_all_is_well(loads, old)
