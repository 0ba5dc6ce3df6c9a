"""A snapshot of one real node, restored onto another one that had nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.console.snapshots.two_nodes import SERVES, TwoNodes, node
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def engines(
    host_kept: None, make_short_folder: Callable[[], Path]
) -> Iterator[tuple[DockerEngine, DockerEngine]]:
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            enclosure = Enclosure(make_short_folder(), network=True)
            stack.callback(enclosure.close)
            engine = DockerEngine(enclosure)
            engine.start()
            made.append(engine)
        yield made[0], made[1]


@pytest.fixture
def nodes(
    engines: tuple[DockerEngine, DockerEngine], short_folder: Path, tmp_path: Path
) -> Iterator[TwoNodes]:
    """`old` has an image that `new` lacks."""
    old, new = engines
    old.load_busybox()
    with (
        node("old", short_folder / "o", old, {}) as one,
        node("new", short_folder / "n", new, {}) as other,
    ):
        yield TwoNodes(tmp_path, one, other)
    for engine in engines:
        engine.clear()
        engine.clear_images()


def web(greeting: str) -> dict[str, object]:
    return {
        "image": "roost-test/busybox:1",
        "command": SERVES,
        "environment": {"GREETING": greeting, "DB_PASSWORD": "hunter2-is-long"},
    }


def test_one_file_makes_a_replacement(nodes: TwoNodes) -> None:
    file = nodes.home / "old.snapshot"
    nodes.good("workload", "apply", nodes.compose(web=web("hello")), "--to", "@old", "--yes")
    assert nodes.old.served("web") == "hello"
    taken = nodes.good(
        "snapshot", "take", "old", "-o", file, "--with-images", "--with-environment", "--json"
    ).json
    assert taken["images_carried"] == 1
    assert taken["withheld"] == {"web": ["environment.DB_PASSWORD"]}

    refused = nodes.roost("snapshot", "restore", file, "--to", "new", "--yes")
    assert refused.code == 1
    assert "environment.DB_PASSWORD" in refused.err
    assert nodes.new.jobs() == []

    plan = nodes.good(
        "snapshot", "restore", file, "--to", "new", "--check", "--set", "web.DB_PASSWORD=other"
    )
    assert "load image roost-test/busybox:1" in plan.out
    assert "web: create" in plan.out
    assert nodes.new.jobs() == []

    nodes.good(
        "snapshot", "restore", file, "--to", "new", "--yes", "--set", "web.DB_PASSWORD=other"
    )
    assert nodes.new.served("web") == "hello"
    assert "DB_PASSWORD=other" in nodes.new.inspect("web")["Config"]["Env"]
    assert nodes.old.served("web") == "hello"
    kinds = {job["kind"]: job["state"] for job in nodes.new.jobs()}
    assert kinds["snapshot.restore"] == "succeeded"

    diff = nodes.good("snapshot", "diff", file, "new", "--json").json
    assert [each for each in diff["changes"] if each["part"] in ("workloads", "images")] == []
