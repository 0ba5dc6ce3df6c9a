"""Models and release files in bundles, from a release to a node: by push and by import there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests import onnx_made
from tests.archives_made import tar
from tests.console.cli.signing_bench import BASE, ONE, TWO, Bench

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
RELEASE = """\
name: plant
services:
  app:
    image: {image}
    env_file: app.env
    x-roost:
      engine:
        onnx: cameras/detector.onnx
        profiles:
          - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
"""
FILES = {
    "models/cameras/detector.onnx",
    "models/cameras/weights.bin",
    "releases/plant/compose.yaml",
    "releases/plant/app.env",
}


def write_release(folder: Path, image: str) -> Path:
    """A release of one service, with a model whose weights lie beside it."""
    models = folder / "cameras"
    models.mkdir(exist_ok=True, parents=True)
    onnx_made.with_external_data(models, data_bytes=40_000).rename(models / "detector.onnx")
    (folder / "app.env").write_text("MODE=fast\n")
    file = folder / "compose.yaml"
    file.write_text(RELEASE.format(image=image))
    return file


def on_node(bench: Bench) -> dict[str, bytes]:
    """All that lies below the folders of files."""
    state = bench.agent.folder / "state"
    return {
        str(path.relative_to(state)): path.read_bytes()
        for folder in ("models", "releases")
        for path in (state / folder).rglob("*")
        if path.is_file()
    }


def test_a_release_with_all_that_it_needs(bench: Bench) -> None:
    folder = bench.folder / "release"
    release = write_release(folder, "app:1")
    bench.archive("app:1", BASE, ONE).rename(folder / "app.tar")
    first = bench.folder / "first.bundle"
    made = bench.good("bundle", "make", "-o", first, release, "--json").json
    assert {each["kind"] for each in made["manifest"]["entries"]} == {
        "config",
        "layer",
        "model",
        "release",
    }

    plan = bench.good("image", "check", first, "--to", "@dock", "--json").json[0]["plan"]
    assert {each["state"] for each in plan["files"]} == {"place"}
    assert on_node(bench) == {}
    pushed = bench.push(first)
    assert pushed.code == 0, pushed
    placed = on_node(bench)
    assert placed.keys() == FILES
    for each in made["manifest"]["files"]:
        data = placed[f"{each['kind']}s/{each['name']}"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == each["sha256"]
        assert pushed.json[0]["images"][f"{each['kind']} {each['name']}"] == each["sha256"]
    assert pushed.json[0]["sent_bytes"] == len(BASE) + len(ONE) + sum(map(len, placed.values()))
    assert bench.tags() == {"app:1"}

    again = bench.push(first).json[0]
    assert (again["result"], again["sent_bytes"]) == ("present", 0)

    # The next version: only the layer and the file that changed are in it, and are sent.
    write_release(folder, "app:2")
    bench.archive("app:2", BASE, TWO).rename(folder / "app-2.tar")
    second = bench.folder / "second.bundle"
    bench.good("bundle", "make", "-o", second, release, "--since", first)
    differences = bench.good("bundle", "diff", first, second, "--json").json
    assert {each["image"]: each["change"] for each in differences} == {
        "app:1": "removed",
        "app:2": "added",
        "model cameras/detector.onnx": "same",
        "model cameras/weights.bin": "same",
        "release plant/app.env": "same",
        "release plant/compose.yaml": "changed",
    }
    pushed = bench.push(first, second)  # the later one has the word
    assert pushed.code == 0, pushed
    assert pushed.json[0]["sent_bytes"] == len(TWO) + release.stat().st_size
    assert on_node(bench)["releases/plant/compose.yaml"] == release.read_bytes()


def test_imported_where_it_lies(bench: Bench) -> None:
    folder = bench.folder / "release"
    release = write_release(folder, "app:1")
    bench.archive("app:1", BASE, ONE).rename(folder / "app.tar")
    bundle = bench.folder / "out.bundle"
    bench.good("bundle", "make", "-o", bundle, release)
    imported = bench.import_on_node(bundle)
    assert imported.returncode == 0, imported
    assert "model cameras/detector.onnx  sha256:" in imported.stdout
    assert on_node(bench).keys() == FILES
    assert bench.tags() == {"app:1"}
    assert list((bench.agent.folder / "state" / "blobs").iterdir()) == []  # no second copy


def test_in_parts(bench: Bench) -> None:
    """Read where they lie, by a push and by the node itself."""
    archive = bench.archive("app:1", BASE, tar({"noise": os.urandom(2_500_000)}))
    bundle = bench.folder / "stick" / "out.bundle"
    bundle.parent.mkdir()
    made = bench.good("bundle", "make", "-o", bundle, archive, "--split", "1MiB", "--json").json
    names = [each["name"] for each in made["parts"]]
    assert names == ["out.bundle.001", "out.bundle.002", "out.bundle.003"]
    second = bundle.with_name(names[1])
    gone = second.rename(bench.folder / "gone")
    for done in (bench.push(bundle), bench.run("image", "import", "dock", bundle, "--yes")):
        assert done.code == 1
        assert "out.bundle.002 is missing, one of its 3 parts" in done.err
    refused = bench.import_on_node(bundle)
    assert "hint: Copy out.bundle.002 into the same folder." in refused.stderr
    gone.rename(second)
    assert bench.push(bundle).code == 0
    assert bench.tags() == {"app:1"}
    bench.engine.clear_images()
    assert bench.import_on_node(bundle).returncode == 0
    assert bench.tags() == {"app:1"}


def test_models_alone(bench: Bench) -> None:
    release = write_release(bench.folder / "release", "app:1")
    model = release.parent / "cameras" / "detector.onnx"
    bundle = bench.folder / "models.bundle"
    bench.good("bundle", "make", "-o", bundle, "--model", f"cameras/detector.onnx={model}")
    assert bench.push(bundle).code == 0
    assert on_node(bench).keys() == {each for each in FILES if each.startswith("models/")}
    listed = bench.good("bundle", "ls", "@dock", "--json").json
    assert [each["file"]["name"] for each in listed] == [
        "cameras/detector.onnx",
        "cameras/weights.bin",
    ]
    bench.good("bundle", "rm", "model/cameras/detector.onnx", "--to", "@dock", "--yes")
    assert on_node(bench).keys() == {"models/cameras/weights.bin"}
    refused = bench.run("bundle", "rm", "model/cameras/detector.onnx", "--to", "@dock", "--yes")
    assert refused.code == 1
    assert "no model here is called cameras/detector.onnx" in refused.err


@pytest.mark.parametrize("bench", [True], indirect=True)
def test_only_files_that_a_trusted_key_has_signed(bench: Bench) -> None:
    key = bench.key("maria")
    release = write_release(bench.folder / "release", "app:1")
    model = release.parent / "cameras" / "detector.onnx"
    bundle = bench.folder / "models.bundle"
    made = ("bundle", "make", "-o", bundle, "--model", f"cameras/detector.onnx={model}")
    bench.good(*made, "--unsigned")
    refused = bench.push(bundle)
    assert (refused.code, refused.json[0]["problem"]["code"]) == (1, "signature.missing")
    assert bench.import_on_node(bundle).returncode == 1
    bench.good(*made, "--key", key)
    assert bench.push(bundle).json[0]["problem"]["code"] == "signature.unknown_key"
    assert on_node(bench) == {}
    bench.good("key", "trust", "dock", f"{key}.pub")
    assert bench.push(bundle).code == 0
    assert len(on_node(bench)) == 2
