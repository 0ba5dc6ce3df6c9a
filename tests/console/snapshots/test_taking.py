"""What is carried, and what goes wrong while it is read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import NodeSnapshot, RecordedFile
from console.link.client import NodeClient
from console.snapshots.snapshot_file import read_snapshot
from console.snapshots.taking import Wanted, images_wanted, left_out, take
from tests.archives_made import Made, docker_archive, layer
from tests.console.snapshots.made import applied, digest, engine, image, snapshot

BASE, ONE, TWO = (layer(name, 50_000) for name in ("base", "one", "two"))
MODEL = b"a model" * 10_000
ARCHIVE = docker_archive([Made([BASE, ONE], tags=["app:1"]), Made([BASE, TWO], tags=["builder:1"])])
EVERYTHING = Wanted(images=True, models=True)


class FakeNode:
    """Answers with a snapshot, an archive and a model; `cut` ends both in the middle."""

    def __init__(self, made: NodeSnapshot, *, model: bytes = MODEL, cut: bool = False) -> None:
        self.snapshots = self
        self._made, self._model, self._cut = made, model, cut
        self.asked: list[str] = []

    async def take(self, *, environment: bool = False) -> NodeSnapshot:
        return self._made

    async def export_images(self, images: Sequence[str]) -> AsyncIterator[bytes]:
        self.asked += images
        async for piece in self._pieces(ARCHIVE):
            yield piece

    async def read_model(self, name: str) -> AsyncIterator[bytes]:
        self.asked.append(name)
        async for piece in self._pieces(self._model):
            yield piece

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), 30_000):
            if self._cut and at:
                raise ProblemError("link.unreachable", "it was cut", hint="Try again.")
            yield data[at : at + 30_000]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Taken(NamedTuple):
    file: Path
    node: FakeNode


async def taken(folder: Path, node: FakeNode, wanted: Wanted = EVERYTHING) -> Taken:
    file = folder / "old.snapshot"
    await take(cast("NodeClient", node), file, wanted)
    return Taken(file, node)


def made() -> NodeSnapshot:
    sha256 = f"sha256:{hashlib.sha256(MODEL).hexdigest()}"
    built = engine()
    assert built.manifest.parts.recipe is not None
    built.manifest.parts.recipe.image = "builder:1"
    return snapshot(
        images=[image("app:1", 1), image("builder:1", 2), image("other:1", 3)],
        workloads=[applied(number=1)],
        engines=[built],
        files=[
            RecordedFile(kind="model", name="detector.onnx", size_bytes=len(MODEL), sha256=sha256),
            RecordedFile(kind="model", name="unread.onnx", size_bytes=5),
            RecordedFile(kind="release", name="app/app.env", size_bytes=5, sha256=digest(9)),
        ],
        configuration={"traffic.image": '"other:1"'},
    )


def test_what_workloads_engines_and_proxies_need() -> None:
    found = made()

    def tags(wanted: Wanted) -> list[str]:
        return [tag for each in images_wanted(found, wanted) for tag in each.tags]

    assert tags(Wanted()) == []
    assert tags(Wanted(images=True)) == ["app:1", "builder:1"]
    assert tags(Wanted(all_images=True)) == ["app:1", "builder:1", "other:1"]
    found.workloads[0].workload = applied(strategy="weighted").workload
    assert tags(Wanted(images=True)) == ["app:1", "builder:1", "other:1"]


def test_what_is_asked_for_and_not_there_is_told() -> None:
    found = made()
    assert left_out(found, Wanted()) == {}
    unread = {"model unread.onnx": "the node could not read it"}
    assert left_out(found, EVERYTHING) == unread
    found.images = [image("other:1", 3)]
    found.workloads[0].image = None
    told = left_out(found, EVERYTHING)
    assert told.keys() == {"image app:1", "image builder:1", *unread}
    found.unknown["images"] = "the runtime does not answer"
    assert left_out(found, Wanted(all_images=True)) == {
        "image app:1": "the runtime does not answer",
        "image builder:1": "the runtime does not answer",
    }


async def test_each_layer_once_and_the_models(tmp_path: Path) -> None:
    file, node = await taken(tmp_path, FakeNode(made()))
    assert node.asked == [digest(1), digest(2), "detector.onnx"]
    manifest = read_snapshot(file).bundle.manifest
    kinds = [entry.kind for entry in manifest.entries]
    assert (kinds.count("layer"), kinds.count("model"), kinds.count("snapshot")) == (3, 1, 1)
    assert [each.name for each in manifest.files] == ["detector.onnx"]
    assert names_in(tmp_path) == ["old.snapshot"]


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (FakeNode(made(), cut=True), "link.unreachable"),
        (FakeNode(made(), model=b"another model"), "archive.changed"),
    ],
)
async def test_what_fails_leaves_what_was_there(tmp_path: Path, node: FakeNode, code: str) -> None:
    (tmp_path / "old.snapshot").write_bytes(b"an older one")
    with pytest.raises(ProblemError) as failed:
        await taken(tmp_path, node)
    assert failed.value.code == code
    assert names_in(tmp_path) == ["old.snapshot"]
    assert (tmp_path / "old.snapshot").read_bytes() == b"an older one"


async def test_a_disk_without_room_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    node = FakeNode(made())
    with pytest.raises(ProblemError, match="are free") as failed:
        await taken(tmp_path, node)
    assert failed.value.code == "bundle.unwritable"
    assert node.asked == []
    await taken(tmp_path, node, Wanted())  # it needs hardly any without images
