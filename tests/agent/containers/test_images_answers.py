"""Answers about images, as runtimes gave them."""

from __future__ import annotations

import pytest

from agent.containers.api_stream import StreamBrokenError
from agent.containers.images_answers import (
    LoadAnswer,
    image_parts,
    image_usage,
    listed_image,
    node_image,
)
from agent.containers.images_messages import LINE_LIMIT_BYTES
from agent.containers.images_problems import load_failed
from agent.protocol.node import ImageStore
from tests.agent.containers.answers import container

ID = "sha256:" + "a" * 64
# Podman 4.3.1, cut: each format's own failure.
PODMAN_SAYS = (
    "failed to load image: payload does not match any of the supported image formats:\n"
    " * oci: initializing source oci:/t/load.tar1:: open /t/load.tar1/index.json: not a directory\n"
    " * oci-archive: loading index: open /var/tmp/oci1/index.json: no such file or directory\n"
    " * docker-archive: Some layer tarfiles are missing in the tarball\n"
    " * dir: open /t/load.tar1/manifest.json: not a directory"
)


def test_a_listed_image() -> None:
    one = listed_image(
        {"Id": "a" * 64, "RepoTags": ["docker.io/library/app:1"], "Size": 7, "Created": 1700000000}
    )
    assert (one.id, one.tags, one.size_bytes, one.created_at) == (ID, ("app:1",), 7, 1.7e9)


@pytest.mark.parametrize("tags", [["<none>:<none>"], [], None])
def test_one_without_tags_and_without_a_date(tags: list[str] | None) -> None:
    one = listed_image({"Id": ID, "RepoTags": tags, "Size": 7, "Created": -62135596800})
    assert (one.tags, one.created_at) == ((), None)


@pytest.mark.parametrize(
    ("store", "known"),
    [("graphdriver", True), ("podman", True), ("containerd", False), (None, False)],
)
def test_the_config_digest_is_not_told_by_all(store: ImageStore | None, known: bool) -> None:
    parts = image_parts({"RootFS": {"Layers": [ID]}, "Os": "linux", "Architecture": "arm64"})
    listed = listed_image({"Id": ID, "Size": 7})
    image = node_image(listed, parts, [container(1)], store=store)
    assert image.config_digest == (ID if known else None)
    assert (image.diff_ids, image.architecture, image.variant) == ([ID], "arm64", "")
    assert image.containers == []


@pytest.mark.parametrize(
    ("metadata", "at"),
    [
        ({"LastTagTime": "2026-05-04T13:06:40.5Z"}, 1_777_900_000.5),
        ({"LastTagTime": "0001-01-01T00:00:00Z"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_since_when_it_has_its_name(metadata: dict[str, str] | None, at: float | None) -> None:
    parts = image_parts({"RootFS": {"Layers": [ID]}, "Metadata": metadata})
    listed = listed_image({"Id": ID, "Size": 7})
    assert node_image(listed, parts, [], store="graphdriver").tagged_at == at


def test_podmans_usage_is_unknown() -> None:
    entry = {"Id": "a" * 64, "Size": 10, "SharedSize": 0}
    answer = {"LayersSize": 0, "Images": [entry]}
    assert image_usage(answer, podman=True).total_bytes is None
    assert image_usage({**answer, "LayersSize": 10}, podman=False).alone_bytes == {ID: 10}
    unknown = {"LayersSize": 10, "Images": [{**entry, "SharedSize": -1}]}
    assert image_usage(unknown, podman=False).alone_bytes == {}


def test_what_was_loaded_byte_by_byte() -> None:
    said = LoadAnswer()
    lines = (
        b'{"stream":"The image error:1 already exists, renaming the old one with ID x"}\r\n'
        b'{"status":"Loading layer","progressDetail":{"current":1,"total":2},"id":"fdc2"}\r\n'
        b'{"stream":"Loaded image: docker.io/library/error:1\\nLoaded image: b:2\\n"}\r\n'
        b'{"stream":"Loaded image ID: ' + ID.encode() + b'\\n"}'
    )
    for at in range(len(lines)):
        said.feed(lines[at : at + 1])
    loaded = said.end()
    assert (loaded.names, loaded.ids, said.failures) == (["error:1", "b:2"], [ID], [])


def test_a_line_without_end() -> None:
    said = LoadAnswer()
    said.feed(b"x" * LINE_LIMIT_BYTES)
    with pytest.raises(StreamBrokenError):
        said.feed(b"x")


def test_of_podmans_four_reasons_the_one_that_matters() -> None:
    detail = load_failed(PODMAN_SAYS).detail
    assert detail == "docker-archive: Some layer tarfiles are missing in the tarball"
    full = load_failed(PODMAN_SAYS.replace("Some layer", "write: no space left on device"))
    assert full.code == "space.full"
