"""`roost release new`: what it writes can be let out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.protocol.problems import ProblemError
from console.cli.main import cli


def run(folder: Path, *arguments: str) -> Result:
    fleet = folder / "fleet.yaml"
    fleet.write_text("nodes:\n  - name: cam-1\n    address: ssh://cam-1\n")
    return CliRunner().invoke(cli, ["--fleet", str(fleet), "release", *arguments])


@pytest.mark.parametrize("gpu", [(), ("--gpu",)])
@pytest.mark.parametrize("strategy", ["weighted", "stop-then-start"])
@pytest.mark.parametrize("images", [("a:1",), ("a:1", "a:cu118", "a:cu128")])
def test_it_can_be_let_out(
    tmp_path: Path, gpu: tuple[str, ...], strategy: str, images: tuple[str, ...]
) -> None:
    file = tmp_path / "detector.yaml"
    named = [word for image in images for word in ("--image", image)]
    made = run(tmp_path, "new", "detector", "-o", str(file), "--strategy", strategy, *named, *gpu)
    assert (made.exit_code, made.stdout) == (0, "")
    checked = run(tmp_path, "check", str(file), "--json")
    assert checked.exit_code == 0, checked.output
    record = json.loads(checked.stdout)
    assert record["problems"] == []
    assert record["workloads"] == ["detector"]


def test_the_images_are_those_that_were_built(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    image: dict[str, object] = {
        "tag": "roost/detector:cpu-1",
        "id": "sha256:1",
        "config_digest": None,
        "diff_ids": [],
        "size_bytes": 1,
        "added_bytes": 1,
        "application_diff_id": "sha256:1",
        "application_bytes": 1,
        "packages": {},
        "content": "1",
    }
    lock = {"variants": {"cpu": {"image": image}, "cu118": {"why": "nobody has built it yet"}}}
    (images / "image-manifest.lock.json").write_text(json.dumps(lock))
    file = tmp_path / "d.yaml"
    words = ("new", "detector", "-o", str(file), "--images-folder", str(images))
    assert run(tmp_path, *words).exit_code == 0
    assert "image: roost/detector:cpu-1\n" in file.read_text()
    before = file.read_text()
    again = run(tmp_path, *words)
    assert isinstance(again.exception, ProblemError)
    assert again.exception.detail == f"{file} is there already"
    assert file.read_text() == before


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    for words in (("A b", "--image", "a:1"), ("x", "--images-folder", str(tmp_path))):
        assert run(tmp_path, "new", "-o", str(tmp_path / "x.yaml"), *words).exit_code != 0
    assert not (tmp_path / "x.yaml").exists()
