"""What Roost placed on nodes, as rows."""

from __future__ import annotations

from agent.protocol.deployments import AT_REST, DeploymentState, WorkloadStatus
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.placed import Placed
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import gpu_indices, state_cell
from console.tui.rows.fleet import age_cell

COLUMNS = (
    Column("node", "NODE", (11, 11, 18, 24)),
    Column("name", "WORKLOAD", (14, 14, 22, 28)),
    Column("state", "STATE", (9, 9, 20, 20)),
    Column("gpus", "GPUS", (4, 4, 8, 12), largest_first=True),
    Column("deployment", "DEPLOYED", (8, 8, 10, 10)),
    Column("undo", "UNDO", (4, 4, 4, 4)),
    Column("drift", "DRIFT", (0, 5, 14, 30), grow=40),
    Column("memory", "RSVD", (0, 0, 6, 6), "right", largest_first=True),
    Column("release", "RELEASE", (0, 13, 14, 24), grow=24),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
)

_LOUD = 9
DEPLOYMENT_TONES: dict[DeploymentState, str] = {
    "done": "good",
    "reverting": "warn",
    "reverted": "warn",
    "stuck": "bad",
}
# What needs a person comes first, then what is under way.
_RANKS: dict[DeploymentState, int] = {"stuck": 0, "done": 3, "reverted": 2}


def workload_rows(view: NodeView, placed: Placed) -> list[Row]:
    """A row's key is "node/workload". Why a node did not answer stands in a row of its own."""
    statuses = placed.said.get(view.name)
    if statuses is None:
        return _away(view, placed)
    old = view.state != "live" or view.name in placed.problems
    return [_row(view, status, dim=old) for status in statuses]


def workload_key(row_key: str) -> tuple[str, str]:
    """Node and workload; the workload is "" in the row of a node that did not answer."""
    node, _, name = row_key.partition("/")
    return node, name


def _row(view: NodeView, status: WorkloadStatus, *, dim: bool) -> Row:
    name = view.name
    deployed = status.deployment_state
    cells = (
        Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
        Cell(status.name, sort=status.name),
        _state(view, status),
        Cell(gpu_indices(status.gpus, view) or "none", sort=len(status.gpus)),
        Cell(
            deployed or words.UNKNOWN,
            DEPLOYMENT_TONES.get(deployed, "accent") if deployed else "",
            sort=_RANKS.get(deployed, 1) if deployed else None,
        ),
        Cell("yes" if status.can_undo else "no", "" if status.can_undo else "dim"),
        _drift(view, status),
        Cell(words.size(status.memory_bytes) if status.memory_bytes else "none", "dim"),
        Cell(status.release, sort=status.release),
        age_cell(view),
    )
    return make_row(f"{name}/{status.name}", name, cells, dim=dim, loud=_LOUD)


def differences(view: NodeView, status: WorkloadStatus) -> list[str]:
    """How it differs from what was asked for, and what it uses beyond its ceiling."""
    return [
        *status.drift,
        *(
            f"{words.size(used)} on GPU {gpu_indices([uuid], view)},"
            f" over its {words.size(status.memory_bytes)}"
            for uuid, used in status.over_ceiling.items()
        ),
    ]


def _drift(view: NodeView, status: WorkloadStatus) -> Cell:
    found = differences(view, status)
    if found:
        count = len(found)
        return Cell(str(count), "warn", sort=-count, wide=words.join(found, "; "))
    if status.drift_unknown:
        return Cell(words.UNKNOWN, wide=f"unknown: {status.drift_unknown}")
    return Cell("none", "dim", sort=0)


def _state(view: NodeView, status: WorkloadStatus) -> Cell:
    """The live picture's, which is newer; what the node said where that does not have it.

    While a deployment is under way, the one that has the name now.
    """
    under_way = status.deployment_state not in (None, *AT_REST)
    for container in view.containers():
        if container.name == status.name if under_way else container.id == status.container:
            return state_cell(container)
    tone = "good" if status.state == "running" else "bad"
    return Cell(status.state, tone, sort=0)


def _away(view: NodeView, placed: Placed) -> list[Row]:
    problem = placed.problems.get(view.name)
    if problem is None:
        return []  # it is being asked
    unknown = Cell(words.UNKNOWN)
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        unknown,
        Cell(view.state if view.state != "live" else "no answer", "bad", sort=-1),
        *(unknown for _ in range(3)),
        Cell(words.UNKNOWN, wide=problem.detail.removeprefix(f"{view.name}: ")),
        unknown,
        unknown,
        age_cell(view),
    )
    return [make_row(f"{view.name}/", view.name, cells, dim=view.state != "live", loud=2)]
