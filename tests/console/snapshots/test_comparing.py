"""What differs between two snapshots."""

from __future__ import annotations

import string
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.decoding import from_json
from agent.protocol.engines import Stale
from agent.protocol.gpus import GpuStack
from agent.protocol.node import RuntimeFacts
from agent.protocol.snapshots import WITHHELD, NodeSnapshot, RecordedFile
from agent.protocol.workloads import GpuRequest
from console.snapshots.comparing import Change, compare, difference, incomparable, tells_values
from console.snapshots.words import diff_lines
from tests.console.snapshots.made import applied, digest, engine, facts, gpu, image, snapshot

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6)


def told(before: NodeSnapshot, after: NodeSnapshot) -> list[tuple[str, str, str]]:
    return [(each.part, each.kind, each.name) for each in compare(before, after)]


def test_what_matters_at_night_comes_first() -> None:
    before = snapshot(
        facts(gpus=[gpu(0), gpu(1)]),
        images=[image("app:1", 1), image("old:1", 2)],
        workloads=[applied(gpu=GpuRequest(select="0")), applied("gone")],
        engines=[engine()],
        files=[RecordedFile(kind="model", name="detector.onnx", size_bytes=3, sha256=digest(7))],
        secrets=["camera"],
        configuration={"policy.privileged": "true"},
    )
    stale = engine()
    stale.stale = [Stale(what="driver", rebuild=True, text="driver 535 then, 580 now")]
    after = snapshot(
        facts(driver="580.65.06", cuda="13.0", gpus=[gpu(0), gpu(1, gib=16, name="Tesla T4")]),
        images=[image("app:1", 3), image("new:1", 4)],
        workloads=[applied(number=3, gpu=GpuRequest(select="1"))],
        engines=[stale],
        files=[RecordedFile(kind="model", name="detector.onnx", size_bytes=3, sha256=digest(8))],
        secrets=[],
        configuration={"policy.privileged": "false"},
    )
    assert told(before, after) == [
        ("driver", "changed", "driver"),
        ("driver", "changed", "CUDA"),
        ("driver", "changed", "GPU 1"),
        ("workloads", "removed", "gone"),
        ("workloads", "changed", "web"),
        ("images", "changed", "app:1"),
        ("images", "removed", "old:1"),
        ("images", "added", "new:1"),
        ("engines", "changed", "detector"),
        ("models", "changed", "detector.onnx"),
        ("secrets", "removed", "camera"),
        ("configuration", "changed", "policy.privileged"),
    ]
    lines = [line.text for line in diff_lines(compare(before, after))]
    assert lines[0] == "driver and GPUs (3)"
    assert "~ driver: 535.183.01 becomes 580.65.06" in lines
    assert "x-roost.gpu.select: 0 becomes 1" in lines
    assert f"image behind its name: {digest(1)[7:19]} becomes {digest(3)[7:19]}" in lines


def test_what_is_not_known_is_not_told_as_none() -> None:
    before, after = snapshot(), snapshot()
    after.facts.runtime = RuntimeFacts(state="unreachable", reason="it does not answer")
    after.facts.gpu_stack = GpuStack(
        state="ok", source="nvml", unknown={"driver_version": "it was not told"}
    )
    lines = [line.text for line in diff_lines(compare(before, after))]
    assert "~ runtime: Docker Engine 24.0.7 becomes not known" in lines
    assert "~ driver: 535.183.01 becomes not known" in lines
    after.facts.runtime = RuntimeFacts(state="not_found")
    after.facts.gpu_stack = GpuStack(state="driver_not_loaded", source="none")
    lines = [line.text for line in diff_lines(compare(before, after))]
    assert "~ runtime: Docker Engine 24.0.7 becomes none" in lines
    assert "~ driver: 535.183.01 becomes none" in lines


def test_a_value_that_one_of_them_withholds_is_no_difference() -> None:
    before = snapshot(workloads=[applied(environment={"MODE": "fast", "A": "1"})])
    after = snapshot(workloads=[applied(environment={"MODE": WITHHELD, "A": "2"})])
    [change] = compare(before, after)
    assert len(change.words) == 1
    assert "A" in change.words[0]
    assert tells_values(before)
    assert not tells_values(snapshot(workloads=[applied(environment={"A": WITHHELD})]))


def test_the_order_of_lists_is_no_difference() -> None:
    one = snapshot(images=[image("a:1", 1), image("b:1", 2)], workloads=[applied("a"), applied()])
    other = snapshot(images=[image("b:1", 2), image("a:1", 1)], workloads=[applied(), applied("a")])
    assert compare(one, other) == []


@st.composite
def snapshots(draw: st.DrawFn) -> NodeSnapshot:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    return snapshot(
        facts(
            driver=draw(st.sampled_from(["535.1", "580.2"])),
            gpus=[gpu(index) for index in range(draw(st.integers(0, 2)))],
        ),
        images=[image(f"{name}:1", draw(st.integers(1, 3))) for name in names],
        workloads=[
            applied(name, draw(st.integers(1, 2)), environment={"A": draw(NAMES)})
            for name in draw(st.lists(NAMES, unique=True, max_size=3))
        ],
        engines=[engine(name, key=draw(st.sampled_from(["ab" * 32, "cd" * 32]))) for name in names],
        secrets=draw(st.lists(NAMES, unique=True, max_size=3)),
        configuration=draw(st.dictionaries(NAMES, NAMES, max_size=3)),
    )


@given(snapshots())
def test_nothing_differs_from_itself(one: NodeSnapshot) -> None:
    again = from_json(msgspec.json.encode(one), NodeSnapshot)
    assert compare(one, again) == []


@given(snapshots(), snapshots())
def test_the_other_way_round_it_is_the_opposite(one: NodeSnapshot, other: NodeSnapshot) -> None:
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}

    def key(change: Change) -> Any:
        return change.part, change.name

    there = {key(each): each for each in compare(one, other)}
    back = {key(each): each for each in compare(other, one)}
    assert there.keys() == back.keys()
    for each in there.values():
        assert back[key(each)].kind == opposite[each.kind]
        assert (back[key(each)].before, back[key(each)].after) == (each.after, each.before)


@given(snapshots(), snapshots())
def test_what_is_told_makes_one_of_the_other(one: NodeSnapshot, other: NodeSnapshot) -> None:
    """Applying the changes to the one's texts gives the other's: none is missing or too many."""
    assert _applied(_texts(one), compare(one, other)) == _texts(other)


def _texts(one: NodeSnapshot) -> dict[tuple[str, str], str]:
    nothing = snapshot(facts(gpus=[]))
    return {
        (each.part, each.name): each.after or " ".join(each.words)
        for each in compare(nothing, one)
        if each.part in ("images", "engines", "secrets", "configuration")
    }


def _applied(
    texts: dict[tuple[str, str], str], changes: list[Change]
) -> dict[tuple[str, str], str]:
    found = dict(texts)
    for each in changes:
        if each.part not in ("images", "engines", "secrets", "configuration"):
            continue
        if each.kind == "removed":
            del found[each.part, each.name]
        else:
            found[each.part, each.name] = each.after
    return found


def test_what_one_of_them_could_not_tell_is_not_compared() -> None:
    before = snapshot(
        images=[image("app:1", 1)],
        workloads=[applied()],
        engines=[engine()],
        files=[RecordedFile(kind="model", name="m", size_bytes=3, sha256=digest(7))],
    )
    after = snapshot()
    after.unknown = dict.fromkeys(("images", "workloads", "engines", "files"), "no answer")
    assert compare(before, after) == []
    assert compare(after, before) == []
    assert incomparable(before, after) == after.unknown


def test_values_that_are_withheld_are_said_to_be_not_compared() -> None:
    one, other = applied(), applied()
    one.withheld, other.withheld = ["environment.A"], ["environment.A", "command.2"]
    gone = applied("gone")
    gone.withheld = ["environment.B"]
    found = incomparable(snapshot(workloads=[one, gone]), snapshot(workloads=[other]))
    assert found == {"values": "those of 2 places were withheld, and not compared"}


def test_a_withheld_value_that_changed_is_seen_by_its_seal() -> None:
    one, other = applied(), applied()
    for each, seal in ((one, "a"), (other, "b")):
        each.withheld = ["environment.A", "environment.B"]
        each.seals = {"environment.A": "same", "environment.B": seal}
    before, after = snapshot(workloads=[one]), snapshot(workloads=[other])
    for side, seal in ((before, "a"), (after, "b")):
        side.secrets, side.secret_seals = ["camera"], {"camera": seal}
        side.sealed_by = "key"
    assert [(each.name, each.words) for each in compare(before, after)] == [
        (one.name, ["environment.B: changed, value withheld"]),
        ("camera", ["changed, value withheld"]),
    ]
    assert incomparable(before, after) == {}
    # One side tells it, and has its seal, too; what both tell is compared as it stands.
    other.withheld = []
    assert "environment.B: changed, value withheld" in compare(before, after)[0].words
    one.withheld = []
    assert [each.name for each in compare(before, after)] == ["camera"]
    one.withheld = other.withheld = ["environment.A", "environment.B"]
    # Of another key, or by an older agent, the seals say nothing.
    for key in ("another", ""):
        after.sealed_by = key
        assert compare(before, after) == []
        assert incomparable(before, after)["values"].startswith("those of 2 places")
    before.sealed_by = ""
    assert compare(before, after) == []


def test_of_agent_yaml_it_is_said_what_is_withheld_and_the_same() -> None:
    before, after = (snapshot(configuration={"a": WITHHELD, "b": WITHHELD}) for _ in range(2))
    for side, seal in ((before, "x"), (after, "y")):
        side.configuration_seals, side.sealed_by = {"a": "same", "b": seal}, "key"
    told = difference(before, after)
    assert [(each.part, each.name, each.words) for each in told.changes] == [
        ("configuration", "b", ["changed, value withheld"])
    ]
    assert (told.unchanged, told.unknown) == (["a"], {})
    after.sealed_by = "another"
    told = difference(before, after)
    assert (told.changes, told.unchanged) == ([], [])
    assert told.unknown == {"values": "those of 2 places were withheld, and not compared"}
    # It is told now, or was: that is a change of the text.
    after.sealed_by, after.configuration_seals = "key", {"a": "same"}
    after.configuration["b"] = "true"
    told = difference(before, after)
    assert [each.name for each in told.changes] == ["b"]
    assert (told.unchanged, told.unknown) == (["a"], {})


def test_an_image_is_the_same_on_another_store() -> None:
    here, there = image("app:1", 1), image("app:1", 2)
    here.config_digest = None
    there.diff_ids = list(here.diff_ids)
    before, after = snapshot(images=[here]), snapshot(images=[there])
    assert compare(before, after) == []
    here.diff_ids = [digest(9), *here.diff_ids]  # only the topmost layer is the same
    assert told(before, after) == [("images", "changed", "app:1")]
