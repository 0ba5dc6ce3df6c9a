"""What starts agents is the current version's own, and the unit too; a version with none is met."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from agent.kit import start
from tests.agent.kit.test_start import WAIT_SECONDS, Scene, begun

pytestmark = pytest.mark.timeout(60)

SOURCE = Path(start.__file__).read_text()
UNIT = "roost-agent.service"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made: list[Scene] = []
    scene = begun(made, tmp_path / "scene")
    (scene.root / "trial.json").unlink()
    return scene


def own(scene: Scene, version: str) -> Path:
    """Where a version has what came with it."""
    folder = scene.root / version / start.KIT
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def says(word: str) -> str:
    """One that says who it is, and does what it has to."""
    mark = "def supervise() -> int:\n"
    assert mark in SOURCE
    return SOURCE.replace(mark, f"{mark}    say({word!r})\n")


def said(scene: Scene) -> str:
    return (scene.root / "said").read_text()


@pytest.mark.parametrize("current", ["a", "b"])
def test_the_current_version_is_started_by_its_own(scene: Scene, current: str) -> None:
    for version in ("a", "b"):
        (own(scene, version) / "start.py").write_text(says(f"I am of {version}"))
    (scene.root / "current").unlink()
    (scene.root / "current").symlink_to(current)
    scene.run()
    scene.becomes([current], last=None, current=current)
    assert f"I am of {current}" in said(scene)
    scene.close()


def test_one_that_looks_for_no_other_does_it_all_the_same(scene: Scene) -> None:
    """Of a version from before this was so."""
    older = SOURCE[: SOURCE.index("def renew_unit(")] + (
        "def main() -> int:\n"
        "    say('I am older')\n"
        "    return Supervisor(os.path.abspath(sys.argv[0]), sys.argv[1:]).run()\n"
    )
    (own(scene, "a") / "start.py").write_text(older)
    scene.run()
    scene.becomes(["a"], last=None, current="a")
    assert "I am older" in said(scene)
    scene.close()


@pytest.mark.parametrize(
    "broken", ["def main(:\n", "import there_is_none\n", "raise SystemExit(3)\n"]
)
def test_where_that_cannot_be_loaded_the_one_there_starts_the_agent(
    scene: Scene, broken: str
) -> None:
    (own(scene, "a") / "start.py").write_text(broken)
    scene.run()
    scene.becomes(["a"], last=None, current="a")
    assert "cannot be used" in said(scene)
    scene.close()


FAILS = "def supervise():\n    raise ValueError('it fails')\n"


def test_where_that_fails_the_one_there_starts_the_agent(scene: Scene) -> None:
    (own(scene, "a") / "start.py").write_text(FAILS)
    scene.run()
    scene.becomes(["a"], last=None, current="a")
    assert "it fails" in said(scene)
    scene.close()


def test_where_that_fails_the_one_there_tries_what_is_on_trial(tmp_path: Path) -> None:
    scene = begun([], tmp_path / "scene", tried="confirms")
    (own(scene, "a") / "start.py").write_text(FAILS)
    scene.run()
    scene.becomes(["b"], last=None, current="b")
    assert "it fails" in said(scene)
    scene.close()


def test_where_that_fails_with_one_on_trial_no_other_runs_beside(tmp_path: Path) -> None:
    scene = begun([], tmp_path / "scene")
    fails = SOURCE.replace("        heard.start()\n", "        raise ValueError('it fails')\n")
    assert fails != SOURCE
    (own(scene, "a") / "start.py").write_text(fails)
    assert scene.run().wait() != 0
    deadline = time.monotonic() + WAIT_SECONDS
    while scene.alive():  # the kernel ends it with its parent
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert json.loads((scene.root / "trial.json").read_text())["starts"] == 1
    scene.close()


def test_the_unit_goes_with_the_current_version_and_what_was_changed_by_hand_stays(
    scene: Scene, tmp_path: Path
) -> None:
    for version in ("a", "b"):
        (own(scene, version) / UNIT).write_text(f"[Unit]\nDescription={version}\n")
    unit = tmp_path / UNIT
    shutil.copy(own(scene, "b") / UNIT, unit)
    start.renew_unit(str(scene.root), str(unit))
    assert unit.read_text() == "[Unit]\nDescription=a\n"
    unit.write_text("[Unit]\nDescription=mine\n")
    start.renew_unit(str(scene.root), str(unit))
    assert unit.read_text() == "[Unit]\nDescription=mine\n"
    unit.unlink()
    start.renew_unit(str(scene.root), str(unit))
    assert not unit.exists()
