"""`roost bundle make RELEASE`, as a person runs it: where images and models are taken from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archives.bundle_manifest import Manifest
from agent.archives.bundle_reading import read_bundle
from tests import onnx_made
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import Done, roost

# Each starts several programs.
pytestmark = pytest.mark.timeout(60)

BASE = layer("base", 50_000)
RELEASE = """\
name: plant
services:
  app:
    image: {image}
    x-roost:
      variants: [{variant}]
      engine:
        onnx: {onnx}
        profiles: []
"""
Run = Callable[..., Done]


def save(file: Path, *tags: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    images = [Made([BASE, layer(tag)], tags=[tag]) for tag in tags]
    file.write_bytes(docker_archive(images))
    return file


def write(
    folder: Path,
    image: str = "app:1",
    variant: str = "app:1-cuda11",
    *,
    onnx: str = "detector.onnx",
) -> Path:
    file = folder / "plant.yaml"
    file.write_text(RELEASE.format(image=image, variant=variant, onnx=onnx), encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release beside its images and its model."""
    folder = tmp_path / "release"
    folder.mkdir()
    save(folder / "app.tar", "app:1", "other:1")
    save(folder / "images" / "cuda11.tar", "app:1-cuda11")
    (folder / "detector.onnx").write_bytes(onnx_made.detector())
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`roost bundle make -o out.bundle ...`, unsigned."""
    target = tmp_path / "out.bundle"
    return lambda *words: roost(tmp_path, "bundle", "make", "-o", target, "--unsigned", *words)


def manifest(tmp_path: Path) -> Manifest:
    return read_bundle(tmp_path / "out.bundle").manifest


def tags(tmp_path: Path) -> list[str]:
    return sorted(tag for image in manifest(tmp_path).images for tag in image.tags)


def files(tmp_path: Path) -> list[str]:
    return sorted(f"{file.kind} {file.name}" for file in manifest(tmp_path).files)


def test_what_lies_beside_it_is_found(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run(write(folder))
    assert done.code == 0, done
    assert tags(tmp_path) == ["app:1", "app:1-cuda11"]  # and nothing that it does not name
    assert files(tmp_path) == ["model detector.onnx", "release plant/plant.yaml"]
    assert done.err.count("found ") == 2


def test_the_newest_whole_archive_is_taken(run: Run, folder: Path, tmp_path: Path) -> None:
    """A bundle that leaves layers to another one, and one of an older release, lie there, too."""
    release = write(folder)
    assert run(release).code == 0
    (tmp_path / "out.bundle").rename(folder / "old.bundle")
    release.write_text(release.read_text("utf-8") + "# newer\n", encoding="utf-8")
    assert run(release, "--since", folder / "old.bundle").code == 0
    (tmp_path / "out.bundle").rename(folder / "new.bundle")
    os.utime(folder / "app.tar", (1, 1))
    done = run(release)
    assert done.code == 0, done
    assert "old.bundle" in done.err
    assert "new.bundle" not in done.err
    assert tags(tmp_path) == ["app:1", "app:1-cuda11"]
    (found,) = [file for file in manifest(tmp_path).files if file.kind == "release"]
    assert found.size_bytes == release.stat().st_size
    # Since the old one, whose images are meant where no archive has them.
    for archive in (folder / "app.tar", folder / "images" / "cuda11.tar"):
        archive.unlink()
    (folder / "old.bundle").rename(tmp_path / "old.bundle")
    assert run(release, "--since", tmp_path / "old.bundle").code == 0
    assert [entry.kind for entry in manifest(tmp_path).entries] == ["config", "config", "release"]


def test_archives_that_are_named(run: Run, folder: Path, tmp_path: Path) -> None:
    elsewhere = save(tmp_path / "elsewhere" / "app.tar", "app:2", "app:2-cuda11")
    useless = save(tmp_path / "elsewhere" / "more.tar", "more:1")
    done = run(write(folder, "app:2", "app:2-cuda11"), elsewhere, useless)
    assert done.code == 0, done
    assert tags(tmp_path) == ["app:2", "app:2-cuda11"]
    assert "more.tar: the release has none of its images, it is left out" in done.err
    refused = run(write(folder, "app:3"), elsewhere)
    assert refused.code == 1
    assert "no archive has 1 image of the release: app:3" in refused.err
    assert "hint: Save it: docker save -o" in refused.err


def test_models_elsewhere(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "detector.onnx").rename(tmp_path / "other.onnx")
    refused = run(write(folder))
    assert refused.code == 1
    assert "--model detector.onnx=FILE" in refused.err
    done = run(write(folder), "--model", f"detector.onnx={tmp_path / 'other.onnx'}")
    assert done.code == 0, done
    assert files(tmp_path) == ["model detector.onnx", "release plant/plant.yaml"]
    # By its whole path: one that is there already, or, below the agent's folder, one to bring.
    done = run(write(folder, onnx="/srv/models/detector.onnx"))
    assert (done.code, "not in it: /srv/models/detector.onnx" in done.err) == (0, True)
    assert files(tmp_path) == ["release plant/plant.yaml"]
    (tmp_path / "other.onnx").rename(folder / "detector.onnx")
    assert run(write(folder, onnx="/var/lib/roost/models/detector.onnx")).code == 0
    assert files(tmp_path) == ["model detector.onnx", "release plant/plant.yaml"]


def test_what_is_wrong_with_it(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "detector.onnx").write_bytes(b"no model")
    broken = run(write(folder))
    assert (broken.code, "is not a whole ONNX model" in broken.err) == (1, True)
    (folder / "bad.yaml").write_text("services: {app: {image: [1]}}\n", encoding="utf-8")
    bad = run(folder / "bad.yaml")
    assert (bad.code, "bad.yaml" in bad.err) == (1, True)
    nothing = run()
    assert (nothing.code, "nobody said what goes into it" in nothing.err) == (2, True)
    strange = run("--model", f"a b={folder / 'app.tar'}")
    assert (strange.code, "cannot be a file's name on a node" in strange.err) == (1, True)
    assert not (tmp_path / "out.bundle").exists()
