"""`roost demo --real` where its image, or its files, are not there; the rest is tried by hand."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from agent.protocol.problems import ProblemError
from console.cli.main import cli
from tests.detector_made import colour_detector

IMAGES = Path(__file__).parent.parent.parent.parent / "images"


def refusal(images: Path) -> ProblemError:
    done = CliRunner().invoke(cli, ["demo", "--real", "--images", str(images)])
    assert isinstance(done.exception, ProblemError), done.output
    return done.exception


def test_without_an_image_it_says_how_to_build_one(tmp_path: Path) -> None:
    problem = refusal(tmp_path)
    assert problem.code == "build.files"
    assert problem.hint is not None
    assert "roost image build cpu" in problem.hint


def test_without_its_sample_it_says_what_is_missing(tmp_path: Path) -> None:
    image = dict.fromkeys(("tag", "id", "application_diff_id", "content"), "roost/detector:cpu-1")
    sizes = dict.fromkeys(("size_bytes", "added_bytes", "application_bytes"), 1)
    more: dict[str, object] = {"config_digest": None, "diff_ids": [], "packages": {}}
    lock = {"variants": {"cpu": {"image": {**image, **sizes, **more}}}}
    (tmp_path / "image-manifest.lock.json").write_text(json.dumps(lock))
    problem = refusal(tmp_path)
    assert problem.code == "build.files"
    assert "colours.onnx" in problem.detail


def test_the_sample_is_the_model_of_the_tests() -> None:
    sample = IMAGES / "detector" / "sample"
    assert (sample / "colours.onnx").read_bytes() == colour_detector()
    assert (sample / "red.jpg").stat().st_size < 10_000
