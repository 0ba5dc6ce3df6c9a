"""`roost image push` to a real agent over a real Docker Engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import Done, roost
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

BASE = [layer("base", 300_000), layer("libs", 200_000)]


def archive(folder: Path, *layers: bytes, tag: str = "app:1") -> Path:
    file = folder / f"{tag.replace(':', '-')}.tar"
    file.write_bytes(docker_archive([Made(list(layers), tags=[tag])]))
    return file


@pytest.fixture
def clean_engine(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    yield docker_engine
    docker_engine.clear()
    ids = docker_engine.docker("images", "--all", "--quiet", "--no-trunc").split()
    for name in dict.fromkeys(ids):
        docker_engine.docker("rmi", "--force", name)


def push(home: Path, fleet: Path, *files: Path, more: tuple[str, ...] = ()) -> Done:
    return roost(home, "--fleet", fleet, "image", "push", *files, "--to", "@dock", "--json", *more)


def test_only_the_new_layer_is_sent(
    clean_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    first = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("one", 100_000)))
    assert first.code == 0, first
    [record] = first.json
    assert record["result"] == "done"
    assert record["sent_bytes"] == sum(map(len, [*BASE, layer("one", 100_000)]))
    before = clean_engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    assert record["images"] == {"app:1": before}

    second = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("two", 90_000)))
    assert second.code == 0, second
    assert second.json[0]["sent_bytes"] == len(layer("two", 90_000))
    after = clean_engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    assert after != before
    assert clean_engine.docker("images", "--quiet", "roost.local/staging") == ""

    again = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("two", 90_000)))
    assert (again.json[0]["sent_bytes"], again.json[0]["job"]) == (0, None)
