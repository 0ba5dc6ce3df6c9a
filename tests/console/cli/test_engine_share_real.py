"""`roost engine build --share` between two agents, with NVIDIA's TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import onnx_made
from tests.console.cli.engine_site import Site, engine_site

pytestmark = pytest.mark.real


@pytest.fixture
def site(short_folder: Path, tmp_path: Path) -> Iterator[Site]:
    with engine_site(short_folder, tmp_path, serves="b") as made:
        yield made


def test_one_builds_and_the_other_fetches(site: Site) -> None:
    done = site.roost("build", site.recipe, "--to", "site=lab", "--share", "--json")
    assert done.code == 0, done.err
    assert [(each["node"], each["result"], each["shared_from"]) for each in done.json] == [
        ("a", "shared", "b"),
        ("b", "built", None),
    ]
    assert "fetches from b" in done.err
    assert "for a" in done.err
    (taken,), (built,) = (site.agents[name].get("/v1/engines") for name in "ab")
    plans = [Path(each["path"]).read_bytes() for each in (taken, built)]
    assert plans[0] == plans[1]
    manifest = taken["manifest"]
    assert (manifest["key"], manifest["shared_from"]) == (built["manifest"]["key"], "b")
    # Tried there, as far as a machine without a GPU can; and its bytes lie nowhere else.
    assert (manifest["verification"], manifest["check"] is not None) == ("header", True)
    state = site.agents["a"].folder / "state"
    assert not [*(state / "blobs").iterdir(), *(state / "uploads").glob("*.data")]
    assert "shared from:    b\n" in site.roost("show", "a", "detector").out
    listed = site.roost("ls").out.splitlines()
    assert "FROM" in listed[0]
    # The model has changed: the same again with the recipes of the engines themselves.
    (site.home / "detector.onnx").write_bytes(onnx_made.detector(blocks=2))
    stale = site.roost("build", "--stale", "--to", "site=lab", "--share", "--json")
    assert stale.code == 0, stale.err
    found = {each["node"]: (each["result"], each["key"]) for each in stale.json}
    assert (found["a"][0], found["b"][0]) == ("shared", "built")
    assert found["a"][1] == found["b"][1] != manifest["key"]
    assert site.roost("ls", "--stale", "--json").json == []
