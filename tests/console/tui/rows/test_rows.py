"""What is said of nodes, GPUs, containers and findings."""

from __future__ import annotations

import pytest

from agent.protocol.live import LiveContainer
from console.tui.look.glyphs import UNICODE
from console.tui.rows import containers, findings, gpus
from console.tui.rows import node as node_rows
from console.tui.rows.containers import (
    container_of,
    container_rows,
    node_container_rows,
    short_image,
    state_cell,
)
from console.tui.rows.findings import about, finding_of, finding_rows
from console.tui.rows.fleet import COLUMNS, fleet_row
from console.tui.rows.gpus import gpu_rows
from console.tui.rows.node import fact_rows, process_rows
from tests.console.tui.fakes import A10, DISK, H200, NOW, T4, XID, make_node

INDEX = {column.id: position for position, column in enumerate(COLUMNS)}


def cell_text(view_row: object, column: str) -> str:
    return str(view_row.cells[INDEX[column]].text)  # type: ignore[attr-defined]


def test_utilization_is_the_mean_memory_the_sum_temperature_the_hottest() -> None:
    node = make_node("a", A10, 2, load=40)
    gpus = list(node.sections["gpus"].values())
    gpus[0].update(utilization_percent=20, memory_used_bytes=0, temperature_celsius=50)
    gpus[1].update(utilization_percent=40, temperature_celsius=70)
    gpus[1]["memory_used_bytes"] = gpus[1]["memory_total_bytes"]
    row = fleet_row(node, UNICODE)
    assert cell_text(row, "utilization") == "30%"
    assert cell_text(row, "memory") == "50%"
    assert cell_text(row, "temperature") == "70°"


def test_unknown_figures_are_unknown_and_never_nought() -> None:
    node = make_node("a", T4)
    for gpu in node.sections["gpus"].values():
        gpu.update(utilization_percent=None, memory_used_bytes=None, temperature_celsius=None)
    row = fleet_row(node, UNICODE)
    assert [cell_text(row, c) for c in ("utilization", "memory", "temperature")] == ["--"] * 3
    assert [row.cells[INDEX[c]].sort for c in ("utilization", "memory")] == [None, None]


def test_one_gpu_that_tells_nothing_leaves_the_others() -> None:
    node = make_node("a", T4, 2, load=60)
    next(iter(node.sections["gpus"].values()))["utilization_percent"] = None
    assert cell_text(fleet_row(node, UNICODE), "utilization") == "61%"


def test_different_gpus_and_a_lost_one() -> None:
    node = make_node("a", T4, 3)
    gpus = list(node.sections["gpus"].values())
    gpus[2]["name"] = "NVIDIA A10"
    assert cell_text(fleet_row(node, UNICODE), "gpus") == "2\u00d7T4 1\u00d7A10"
    gpus[0]["state"] = "lost"
    cell = fleet_row(node, UNICODE).cells[INDEX["gpus"]]
    assert cell.text.startswith("1 lost of 2\u00d7T4")
    assert cell.tone == "bad"


def test_an_empty_picture_is_all_unknown() -> None:
    row = fleet_row(make_node("a", seen_ago=None, state="connecting"), UNICODE)
    assert [cell_text(row, c) for c in ("driver", "cuda", "gpus", "age")] == ["--"] * 4
    assert cell_text(row, "containers") == "--"
    assert row.tone == "dim"


def test_versions_sort_as_numbers() -> None:
    rows = [fleet_row(make_node("a", board), UNICODE) for board in (T4, A10, H200)]
    values = [row.cells[INDEX["driver"]].sort for row in rows]
    assert values == sorted(values, key=lambda v: v if isinstance(v, float) else 0.0)
    odd = make_node("b")
    odd.sections["facts"][""]["gpu_stack"]["driver_version"] = "r550-beta"
    assert fleet_row(odd, UNICODE).cells[INDEX["driver"]].sort is None


def test_labels_and_address_can_be_filtered_for() -> None:
    row = fleet_row(make_node("a", labels={"site": "plant-9"}), UNICODE)
    assert "site=plant-9" in row.search_text()
    assert "ssh://roost@a.example" in row.search_text()


@pytest.mark.parametrize(
    ("fields", "text", "wide"),
    [
        ({"state": "running"}, "running", "running"),
        ({"state": "running", "health": "unhealthy"}, "unhealthy", "running, unhealthy"),
        ({"state": "running", "health": "starting"}, "starting", "running, starting"),
        ({"state": "exited", "exit_code": 137}, "exited 137", "exited 137"),
        ({"state": "exited"}, "exited", "exited"),
        ({"state": "restarting", "restart_count": 9}, "restarts", "restarting, 9 times"),
        ({"state": "paused"}, "paused", "paused"),
    ],
)
def test_a_containers_state_says_the_worst(fields: dict[str, object], text: str, wide: str) -> None:
    container = LiveContainer(
        id="1", name="x", image="i", image_id="s", created_at=NOW, **{"state": "dead", **fields}  # type: ignore[arg-type]
    )  # fmt: skip
    cell = state_cell(container)
    assert (cell.text, cell.wide) == (text, wide)


@pytest.mark.parametrize(
    ("image", "short"),
    [
        ("registry.local:5000/a/b:1", "b:1"),
        ("web", "web"),
        ("a/b@sha256:0123", "b"),
        ("", ""),
    ],
)
def test_an_image_without_its_registry(image: str, short: str) -> None:
    assert short_image(image) == short


def test_a_row_leads_back_to_its_container_and_finding() -> None:
    node = make_node("a", findings=[XID, DISK])
    for row in container_rows(node):
        container = container_of(node, row.key)
        assert container is not None
        assert container.name == row.cells[1].text
    assert container_of(node, "a/unknown") is None
    found = [finding_of(node, row.key) for row in finding_rows(node)]
    assert [f.code for f in found if f is not None] == ["gpu.xid", "disk.nearly_full"]
    assert finding_of(node, "a/gone") is None


def test_a_subject_is_named_as_people_do() -> None:
    node = make_node("cam-xid", findings=[XID])
    assert about(XID, node) == "GPU 0"
    assert about(XID, make_node("b")) == "GPU GPU-cam-xid-"
    container = container_rows(node)[0].key.partition("/")[2]
    finding = XID.__class__(
        code="c", severity="info", subject=f"container/{container}", title="t", cause="c", mend="m"
    )
    assert about(finding, node) == "detector"
    assert about(DISK, node) == "/var/lib/docker"


def test_gpus_of_a_node_that_is_away_are_dim_and_old() -> None:
    rows = gpu_rows(make_node("a", A10, 2, state="offline", seen_ago=4000), UNICODE)
    assert [row.tone for row in rows] == ["dim", "dim"]
    assert all("1h" in [cell.text for cell in row.cells] for row in rows)


def test_a_container_that_needs_next_to_nothing_does_not_need_nothing() -> None:
    node = make_node("a", containers=1)
    record = next(iter(node.sections["containers"].values()))
    record["memory_used_bytes"] = 0
    assert "<2M" in [cell.text for cell in node_container_rows(node)[0].cells]
    record["memory_used_bytes"] = None
    assert "--" in [cell.text for cell in node_container_rows(node)[0].cells]


def test_processes_name_their_container_or_the_host() -> None:
    node = make_node("a")
    record = next(iter(node.sections["processes"].values()))
    record["container"] = None
    record["memory_used_bytes"] = None
    texts = [[cell.text for cell in row.cells] for row in process_rows(node)]
    assert texts == [
        ["4001", "python3", "0", "2.0G", "compute", "tracker"],
        ["4000", "python3", "0", "--", "compute", "(host)"],
    ]


def test_facts_say_what_is_unknown_and_why() -> None:
    node = make_node("a", seen_ago=None, state="connecting")
    texts = {row.cells[0].text: row.cells[1].text for row in fact_rows(node)}
    assert texts["facts"] == "unknown: the agent has not answered yet"
    assert texts["state"] == "connecting, never heard of"
    node = make_node("a")
    node.clock_offset_seconds = -7.25
    node.sections["facts"][""]["agent"]["simulated"] = True
    node.sections["facts"][""]["toolkit"]["unknown"] = {"version": "no permission"}
    texts = {row.cells[0].text: row.cells[1].text for row in fact_rows(node)}
    assert texts["clock"] == "-7.2 s against this console"
    assert texts["simulated"].startswith("yes")
    assert texts["toolkit"] == "auto, version: no permission"
    for version, unknown, told in (
        (None, {"mode": "missing"}, "not installed"),
        ("1.14.3", {"mode": "missing"}, "1.14.3, mode: missing"),
        (None, {}, "not installed"),
    ):
        toolkit = node.sections["facts"][""]["toolkit"]
        toolkit.update(version=version, mode=None, unknown=unknown)
        texts = {row.cells[0].text: row.cells[1].text for row in fact_rows(node)}
        assert texts["toolkit"] == told
    assert texts["disk /var/lib/docker"] == "210.0G free of 512.0G (41%), runtime"


def test_facts_say_how_gpus_get_into_containers() -> None:
    node = make_node("a")
    facts = node.sections["facts"][""]
    facts["runtime"].update(name="Docker Engine", state="ok", runtimes=["runc", "nvidia"])
    facts["toolkit"]["hook_path"] = None

    def ways() -> list[str]:
        rows = fact_rows(node)
        return [row.cells[1].text for row in rows if row.cells[0].text == "GPU way"]

    assert ways() == [
        "cdi, no: no CDI device of nvidia.com/gpu is known",
        "device_request, no: nvidia-container-runtime-hook is not installed",
        "runtime, used: the runtime has one named nvidia",
    ]
    facts["runtime"]["state"] = "unreachable"
    assert ways() == ["unknown: the container runtime does not say what it has"]
    facts["gpu_stack"]["state"] = "no_gpu"
    assert ways() == []


TABLES = {
    "fleet": COLUMNS,
    "gpus": gpus.COLUMNS,
    "node's gpus": gpus.NODE_COLUMNS,
    "containers": containers.COLUMNS,
    "node's containers": containers.NODE_COLUMNS,
    "findings": findings.COLUMNS,
    "node's findings": findings.NODE_COLUMNS,
    "processes": node_rows.PROCESS_COLUMNS,
    "facts": node_rows.FACT_COLUMNS,
}


@pytest.mark.parametrize("table", TABLES)
def test_each_layout_fits_its_terminal_with_a_frame_around_it(table: str) -> None:
    columns = TABLES[table]
    for step, terminal in enumerate((60, 80, 120, 200)):
        used = sum(c.widths[step] + 1 for c in columns if c.widths[step])
        assert used <= terminal - 2
