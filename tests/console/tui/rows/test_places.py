"""Who is on which GPU, and how that stands in rows."""

from __future__ import annotations

from typing import Any

from agent.protocol.live import Record
from console.fleet.picture import NodeView
from console.tui.placed import Placed
from console.tui.rows.cells import Row
from console.tui.rows.model import TableModel
from console.tui.rows.placement import COLUMNS, Carried, found_at, placement_rows
from console.tui.rows.places import Place, asks_for, places, select_of
from tests.console.tui.fake_workloads import FakeWorkloads
from tests.console.tui.fakes import A10, A100, GIB, MISMATCH, make_node, uuid_of

INDEX = {column.id: position for position, column in enumerate(COLUMNS)}
SLICE = "MIG-1234abcd-5678"


def texts(rows: list[Row], column: str = "place") -> list[str]:
    return [row.cells[INDEX[column]].text.strip() for row in rows]


def containers_of(view: NodeView) -> list[Record]:
    return list(view.sections["containers"].values())


def names(place: Place) -> list[str]:
    return [guest.name for guest in place.guests]


async def nothing() -> None:
    """Answers at once."""


def placed_on(view: NodeView, **fields: object) -> Placed:
    """detector is a workload of GPU 0."""
    placed, workloads = Placed(), FakeWorkloads(view, nothing)
    placed.said[view.name] = [workloads.put("detector", **fields)]
    return placed


def split(view: NodeView) -> None:
    """Its GPU is in MIG mode."""
    gpu: dict[str, Any] = view.sections["facts"][""]["gpus"][0]
    part = {"uuid": SLICE, "index": 0, "profile": "3g.20gb", "memory_total_bytes": 20 * GIB}
    gpu.update(mig=True, mig_instances=[part])


def test_a_container_is_on_what_it_asked_for_however_it_said_so() -> None:
    node = make_node("a", A10, 3, containers=4)
    detector, tracker, gateway, recorder = containers_of(node)
    detector["gpus"], tracker["gpus"] = ["1"], [uuid_of("a", 2)]
    gateway["gpus"], recorder["gpus"] = ["all"], []
    node.sections["processes"].clear()
    found = places(node, Placed())
    assert [names(place) for place in found] == [
        ["gateway"],
        ["detector", "gateway"],
        ["gateway", "tracker"],
    ]
    containers = {each.name: each for each in node.containers()}
    assert asks_for(containers["detector"], found[1])
    assert not asks_for(containers["gateway"], found[1])


def test_who_has_memory_there_is_on_it_too_and_the_hosts_programs_are_one() -> None:
    node = make_node("a", A10, 2, containers=3)
    gateway = containers_of(node)[2]
    processes = node.sections["processes"]
    processes.clear()
    for pid, container, size in ((1, gateway["id"], GIB), (2, None, GIB), (3, None, GIB)):
        processes[f"x/{pid}"] = {
            "gpu_uuid": uuid_of("a", 1),
            "pid": pid,
            "memory_used_bytes": size,
            "container": container,
        }
    guests = places(node, Placed())[1].guests
    assert [(guest.name, guest.memory_bytes) for guest in guests] == [
        ("gateway", GIB),
        ("(host)", 2 * GIB),
    ]
    rows = placement_rows(node, Placed())
    assert texts(rows, "about")[-2:] == ["asked for no GPU", "2 programs outside containers"]


def test_memory_that_nobody_can_tell_is_unknown_and_never_nought() -> None:
    node = make_node("a", A10)
    process = next(iter(node.sections["processes"].values()))
    process["memory_used_bytes"] = None
    node.sections["gpus"][uuid_of("a", 0)].update(utilization_percent=None, memory_used_bytes=None)
    rows = placement_rows(node, Placed())
    assert texts(rows) == ["0 A10", "detector", "tracker"]
    assert texts(rows, "memory") == ["--", "--", "2.0G"]
    assert texts(rows, "utilization") == ["--", "", ""]
    # What is reserved is not known either before the node has said it.
    assert texts(rows, "reserved") == ["--", "--", "--"]


def test_what_is_reserved_and_what_can_be_undone() -> None:
    node = make_node("a", A10, 2)
    placed = placed_on(node, memory_bytes=6 * GIB, drift=["it runs another image"])
    rows = placement_rows(node, placed)
    assert texts(rows, "reserved") == ["6.0G", "6.0G", "", "none"]
    about = "pin detector, can be undone, differs: it runs another image"
    assert texts(rows, "about")[1] == about


def test_slices_follow_their_gpu_which_takes_nothing_itself() -> None:
    node = make_node("a", A100)
    split(node)
    containers_of(node)[0]["gpus"] = [SLICE]
    node.sections["processes"].clear()
    whole, part = places(node, Placed())
    assert (whole.can_take, part.can_take) == (False, True)
    assert (names(whole), names(part)) == (["tracker"], ["detector"])
    assert part.title == "3g.20gb MIG-1234abcd"
    assert select_of(part) == SLICE
    rows = placement_rows(node, Placed())
    assert texts(rows, "state") == ["in slices", "running", "slice", "running"]
    assert rows[2].cells[INDEX["memory"]].wide == "--/20.0G"


def test_a_gpu_that_is_gone_is_shown_with_those_that_asked_for_it() -> None:
    node = make_node("a", A10)
    containers_of(node)[1]["gpus"] = ["GPU-gone-1234"]
    node.sections["processes"].clear()
    gone = places(node, Placed())[-1]
    assert (gone.title, names(gone), gone.can_take) == ("? GPU-gone-123", ["tracker"], False)
    rows = placement_rows(node, placed_on(node))
    assert texts(rows, "state")[2] == "not there"
    assert texts(rows, "reserved")[2] == "--"


def test_one_that_is_kept_says_why_it_is_there() -> None:
    node = make_node("a", A10)
    containers_of(node)[1].update(name="detector.kept-1a2b", state="exited")
    node.sections["processes"].clear()
    rows = placement_rows(node, Placed())
    assert texts(rows) == ["0 A10", "detector", "detector.kept-1a2b"]
    assert texts(rows, "state")[2] == "kept"
    assert texts(rows, "about")[2] == "ran here before; an undo brings it back"


def test_rows_stay_below_their_gpu_whatever_they_are_sorted_by() -> None:
    model = TableModel(COLUMNS)
    for name, load in (("a", 10), ("b", 90)):
        model.put(name, placement_rows(make_node(name, A10, load=load), Placed()))
    shown: dict[str, list[Row]] = {}
    for column in ("utilization", "node", "state", "reserved", "age"):
        model.sort_by(column)
        model.settle(reorder=True)
        shown[column] = list(model.shown)
    assert [row.group for row in shown["utilization"]] == ["b"] * 3 + ["a"] * 3
    assert [row.group for row in shown["node"]] == ["a"] * 3 + ["b"] * 3
    for rows in shown.values():
        assert texts(rows) == ["0 A10", "detector", "tracker"] * 2


def test_a_filter_finds_a_gpu_by_who_is_on_it_and_the_other_way_round() -> None:
    model = TableModel(COLUMNS)
    model.put("a", placement_rows(make_node("a", A10, 2), Placed()))
    for text, found in (("tracker", ["0 A10", "tracker"]), ("1 A10", ["1 A10"])):
        model.narrow(text)
        model.settle(reorder=True)
        assert texts(model.shown) == found


def test_nodes_without_figures_say_why_and_those_without_a_gpu_nothing() -> None:
    node = make_node("a", A10, stack="driver_mismatch", reason="module 550", findings=[MISMATCH])
    (row,) = placement_rows(node, Placed())
    assert texts([row]) == ["module 550"]
    assert {cell.text for cell in row.cells[3:6]} == {"--"}
    (row,) = placement_rows(make_node("b", None, state="connecting", seen_ago=None), Placed())
    assert texts([row]) == ["the agent has not answered yet"]
    assert placement_rows(make_node("c", None), Placed()) == []


def test_old_figures_say_how_old_they_are() -> None:
    rows = placement_rows(make_node("a", A10, state="stale", seen_ago=190), Placed())
    assert texts(rows, "age") == ["3m", "", ""]
    assert {row.tone for row in rows} == {"dim"}


def test_what_is_carried_stands_where_it_would_go() -> None:
    node = make_node("a", A10, 2)
    detector = containers_of(node)[0]["id"]
    carried = Carried("a", detector, "detector", uuid_of("a", 0), uuid_of("a", 1))
    rows = placement_rows(node, Placed(), carried)
    assert texts(rows) == ["0 A10", "tracker", "1 A10", "detector"]
    assert texts(rows, "state")[-1] == "moving"
    assert texts(rows, "about")[-1] == "from 0 A10"


def test_a_row_leads_back_to_what_it_is_about() -> None:
    node = make_node("a", A10, 2)
    rows = placement_rows(node, Placed())
    found = found_at(node, Placed(), rows[1].key)
    assert found is not None
    assert (found.place.number, found.guest and found.guest.name) == (0, "detector")
    found = found_at(node, Placed(), rows[3].key)
    assert found is not None
    assert (found.place.number, found.guest) == (1, None)
    node.sections["gpus"].clear()
    assert found_at(node, Placed(), rows[1].key) is None


def test_jobs_about_workloads_say_when_to_ask_again() -> None:
    node, placed = make_node("a"), Placed()
    assert not placed.has_moved(node)
    node.sections["jobs"] = {"j": {"kind": "image.load", "state": "running"}}
    assert not placed.has_moved(node)
    node.sections["jobs"]["k"] = {"kind": "workload.deploy", "state": "running"}
    assert placed.has_moved(node)
    assert not placed.has_moved(node)
    node.sections["jobs"]["k"]["state"] = "succeeded"
    assert placed.has_moved(node)
