"""How long a build will take, from those that were."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.protocol.engines import Stale
from agent.protocol.jobs import Job
from agent.rules.engine_keys import recipe_digest
from agent.rules.engine_use import in_use
from console.engines.build_times import earlier_build, seconds_left, share_done
from console.engines.words import is_outdated, why_stale
from tests.console.tui.fake_engines import LIKE, make_engine
from tests.console.tui.screens.test_engines import DRIVER, MODEL, stale


def building(done: int | None = 500, **fields: object) -> Job:
    job = Job(
        id="b",
        kind="engine.build",
        subject="detector",
        state="running",
        stage="building",
        done=done,
        total=1000,
        unit="items",
        owner="o",
        created_at=0.0,
    )
    for name, value in fields.items():
        setattr(job, name, value)
    return job


def test_the_nodes_own_comes_first_then_the_newest_on_the_same_gpu() -> None:
    here, old, new = make_engine(number=9), make_engine(number=3), make_engine(number=1)
    known = {"a": [here], "b": [old], "c": [new]}
    own = earlier_build(known, "a", "detector", LIKE, ["NVIDIA A10"])
    assert own is not None
    assert (own.node, own.engine) == ("a", here)
    other = earlier_build(known, "d", "detector", LIKE, ["NVIDIA A10"])
    assert other is not None
    assert (other.node, other.seconds) == ("c", 310.0)
    assert earlier_build(known, "d", "detector", LIKE, ["Tesla T4"]) is None
    assert earlier_build(known, "a", "pose", LIKE, ["NVIDIA A10"]) is None


def test_only_builds_by_the_same_recipe_with_the_same_tensorrt_count() -> None:
    engine = make_engine()
    assert earlier_build({"a": [engine]}, "a", "detector", None) is None, "it is not known how"
    recipe = engine.manifest.parts.recipe
    assert recipe is not None
    others: list[dict[str, Any]] = [{"precision": "best"}, {"profiles": []}, {"workspace_bytes": 9}]
    for changes in others:
        other = recipe_digest(msgspec.structs.replace(recipe, **changes))
        assert earlier_build({"a": [engine]}, "a", "detector", other) is None, changes
    slower = msgspec.structs.replace(recipe, timeout_seconds=9.0)
    assert earlier_build({"a": [engine]}, "a", "detector", recipe_digest(slower)) is not None
    upgraded = stale(engine, Stale(what="tensorrt", rebuild=True, text="10.3 then, 10.13 now"))
    assert earlier_build({"a": [upgraded]}, "a", "detector", LIKE) is None
    changed = stale(engine, MODEL, DRIVER)
    assert earlier_build({"a": [changed]}, "a", "detector", LIKE) is not None


def test_what_was_imported_was_built_elsewhere() -> None:
    engine = make_engine()
    engine.manifest.imported, engine.manifest.build_seconds = "/stick/detector.plan", 0.0
    assert earlier_build({"a": [engine]}, "a", "detector", LIKE) is None
    engine.manifest.parts.recipe = None
    assert earlier_build({"a": [engine]}, "a", "detector", LIKE) is None


def test_engines_that_no_gpu_built_are_like_each_other() -> None:
    engine = make_engine()
    engine.manifest.parts.gpu = None
    assert earlier_build({"b": [engine]}, "a", "detector", LIKE, []) is not None


def test_what_is_left_goes_by_the_time_then_by_the_share() -> None:
    before = earlier_build({"a": [make_engine()]}, "a", "detector", LIKE)
    assert seconds_left(building(), before, running_seconds=10.0) == 300.0
    assert seconds_left(building(), before, running_seconds=400.0) == 155.0
    assert seconds_left(building(), None) is None
    assert seconds_left(building(None), before) is None
    assert seconds_left(building(stage="keeping"), before) is None


def test_the_share_of_what_is_done() -> None:
    assert share_done(building(1200)) == 1.0
    assert share_done(building(state="failed")) is None


def test_the_ones_in_use_and_why_they_are_stale() -> None:
    newest, used = make_engine(number=1, current=False), make_engine(number=2)
    alone = make_engine("pose", current=False)
    assert in_use([newest, used, alone]) == [used, alone]
    assert is_outdated(stale(used, DRIVER, MODEL))
    assert not is_outdated(stale(used, DRIVER))
    assert why_stale(stale(used, DRIVER, MODEL)) == f"{DRIVER.text}; {MODEL.text}"
