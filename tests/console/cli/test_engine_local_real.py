"""`roost engine build --local`: this machine's own TensorRT-RTX, and no GPU."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.protocol.decoding import from_plain
from agent.protocol.engines import EngineManifest
from console.cli.engine_local import compute_capabilities, without_gpu
from tests import onnx_made
from tests.console.cli.commands import Done, roost

pytestmark = pytest.mark.real

RECIPE = """\
model: detector
onnx: /on/the/node/detector.onnx
profiles:
  - images: {min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "detector.yaml").write_text(RECIPE)
    (tmp_path / "detector.onnx").write_bytes(onnx_made.detector())
    return tmp_path


def build(home: Path, *arguments: str | Path, **environment: str) -> Done:
    """With a folder for temporary files in which nothing else is."""
    place = home / "t"
    place.mkdir(exist_ok=True)
    return roost(
        home,
        *("engine", "build", "--local", "--python", sys.executable),
        *("--onnx", home / "detector.onnx", "-o", home / "out"),
        *arguments,
        home / "detector.yaml",
        env={"TMPDIR": str(place), **environment},
    )


def test_an_engine_for_several_gpus(home: Path) -> None:
    built = build(home, "--for", "sm_86,sm_89", "--json")
    assert built.code == 0, built.err
    manifest = built.json["engine"]["manifest"]
    assert manifest["parts"]["recipe"]["compute_capabilities"] == ["8.6", "8.9"]
    names = ["detector.log", "detector.manifest.json", "detector.plan"]
    assert sorted(each.name for each in (home / "out").iterdir()) == names
    assert sorted(built.json["files"]) == [str(home / "out" / name) for name in names]
    plan = home / "out" / "detector.plan"
    assert plan.stat().st_size == manifest["plan_bytes"]
    # It is for nodes, where the model lies as the recipe says.
    written = json.loads((home / "out" / "detector.manifest.json").read_bytes())
    recipe = from_plain(written, EngineManifest).parts.recipe
    assert recipe is not None
    assert (recipe.onnx, recipe.executor) == ("/on/the/node/detector.onnx", "host")
    assert [each["path"] for each in written["files"]] == ["/on/the/node/detector.onnx"]
    assert (written["key"], written["plan_sha256"]) == (
        manifest["key"],
        hashlib.sha256(plan.read_bytes()).hexdigest(),
    )
    # Nothing of the agent is left.
    assert not list((home / "t").iterdir())


def test_the_containers_of_this_machine_are_nothing_to_it(home: Path, short_folder: Path) -> None:
    """A node's own builds may be among them."""
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.bind(str(short_folder / "docker.sock"))
        runtime.listen()
        runtime.setblocking(False)
        built = build(home, "--for", "8.6", DOCKER_HOST=f"unix://{short_folder}/docker.sock")
        assert built.code == 0, built.err
        with pytest.raises(BlockingIOError):  # nobody called
            runtime.accept()


def test_what_goes_wrong(home: Path) -> None:
    (home / "detector.onnx").write_bytes(onnx_made.unsupported())
    failed = build(home, "--for", "8.6")
    assert failed.code == 1
    assert "FrobnicateNMS node '/model.22/nms'" in failed.err
    assert not (home / "out").exists()
    (home / "detector.onnx").unlink()
    gone = build(home)
    assert (gone.code, "is no file on this machine" in gone.err) == (1, True)
    assert "--onnx FILE" in gone.err
    no_place = roost(home, "engine", "build", "--local", home / "detector.yaml")
    assert (no_place.code, "--output DIR" in no_place.err) == (2, True)
    elsewhere = roost(home, "engine", "build", "--for", "sm_86", home / "detector.yaml")
    assert (elsewhere.code, "are for --local" in elsewhere.err) == (2, True)
    nowhere = roost(home, "engine", "build", home / "detector.yaml")
    assert (nowhere.code, "--to SELECTOR" in nowhere.err) == (2, True)
    other = build(home, "--for", "ampere")
    assert (other.code, "no list of compute capabilities" in other.err) == (2, True)


def test_compute_capabilities() -> None:
    assert compute_capabilities("sm_86, 8.9,SM120") == ["8.6", "8.9", "12.0"]


def test_a_gpu_of_this_machine_is_not_seen(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    python = without_gpu(Path(sys.executable), place)
    seen = "import os, sys; print([os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:]])"
    done = subprocess.run(
        [python, "-c", seen, "a b"],
        env={"CUDA_VISIBLE_DEVICES": "GPU-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['', 'a b']\n"
