"""The detector's image, built once for all tests of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.images.detector_side import IMAGES, Built, Detector, build, copied, load_base, start
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

Start = Callable[..., Detector]


@pytest.fixture(scope="session")
def detector_image(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[Built]:
    """Built by `roost image build` on a Docker Engine of its own, without a network."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        load_base(engine)
        images = copied(IMAGES, make_short_folder())
        done = build(engine, images, "--json")
        assert done.returncode == 0, done.stderr
        yield Built(engine, images, done.stderr, json.loads(done.stdout))


@pytest.fixture
def start_detector(detector_image: Built, short_folder: Path) -> Iterator[Start]:
    """Starts containers of it, which end with the test."""
    started: list[Detector] = []

    def begin(*arguments: str, **options: object) -> Detector:
        name = f"detector-{len(started)}"
        models = short_folder / name
        models.mkdir()
        started.append(start(detector_image, name, models, *arguments, **options))  # type: ignore[arg-type]  # start says which there are
        return started[-1]

    yield begin
    detector_image.engine.clear()


@pytest.fixture
def detector(start_detector: Start) -> Detector:
    """One that is ready."""
    made = start_detector()
    made.wait_ready()
    return made
