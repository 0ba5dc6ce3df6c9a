"""A container as a row: across the fleet, and on its node."""

from __future__ import annotations

import time
from collections.abc import Iterable

from agent.protocol.live import LiveContainer
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.fleet import STATE_TONES, age_cell

COLUMNS = (
    Column("node", "NODE", (12, 13, 18, 24), grow=10),
    Column("name", "CONTAINER", (16, 15, 22, 28), grow=12),
    Column("state", "STATE", (10, 10, 20, 20)),
    Column("cpu", "CPU", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (5, 5, 11, 12), "right", largest_first=True),
    Column("gpus", "GPUS", (0, 5, 8, 12), largest_first=True),
    Column("image", "IMAGE", (0, 11, 19, 40), grow=30),
    Column("up", "UP", (3, 3, 3, 4)),
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("ports", "PORTS", (0, 0, 0, 24), grow=30),
)

NODE_COLUMNS = (
    Column("name", "CONTAINER", (16, 18, 24, 30), grow=16),
    Column("state", "STATE", (10, 10, 20, 20)),
    Column("cpu", "CPU", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (5, 5, 11, 12), "right", largest_first=True),
    Column("gpus", "GPUS", (5, 6, 8, 12), largest_first=True),
    Column("image", "IMAGE", (0, 18, 30, 44), grow=30),
    Column("up", "UP", (3, 3, 3, 4)),
    Column("ports", "PORTS", (0, 0, 0, 30), grow=40),
)

_STATE_ORDER = ["dead", "restarting", "exited", "unknown", "removing", "created", "paused"]
# A container's id in a row's key: enough to tell them apart, as the runtimes' own lists do.
SHORT_ID = 12
_UUID_PARTS = 8


def container_rows(view: NodeView) -> list[Row]:
    """For the table across the fleet; a row's key is "node/id"."""
    dim, name = view.state != "live", view.name
    containers = view.containers()
    if not containers and (away := _away_row(view)) is not None:
        return [away]
    rows = []
    for container in containers:
        first, middle = _cells(container, view)
        cells = (
            Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
            *first,
            *middle,
            age_cell(view),
            Cell(" ".join(container.ports), "dim"),
        )
        rows.append(make_row(f"{name}/{container.id}", name, cells, dim=dim, loud=2))
    return rows


def node_container_rows(view: NodeView) -> list[Row]:
    """For the node's own screen; the same keys."""
    dim = view.state != "live"
    rows = []
    for container in view.containers():
        first, middle = _cells(container, view)
        cells = (*first, *middle, Cell(" ".join(container.ports), "dim"))
        rows.append(make_row(f"{view.name}/{container.id}", view.name, cells, dim=dim, loud=1))
    return rows


def containers_unknown(view: NodeView) -> str:
    """Why nobody knows which containers the node has; empty where it is known."""
    node = view.sections.get("node", {}).get("")
    if node is None:
        return never_answered(view)
    state, reason = node.get("runtime_state") or "unknown", node.get("runtime_reason")
    if state in {"ok", "simulated"}:
        return ""
    return f"{runtime_words(state)}: {reason}" if reason else runtime_words(state)


def runtime_words(state: str) -> str:
    """A runtime's state as the command line names it: "runtime unreachable"."""
    return f"runtime {state.replace('_', ' ')}"


def never_answered(view: NodeView) -> str:
    """Why nothing is known of a node that has not answered yet."""
    if view.problem is None:
        return "the agent has not answered yet"
    return view.problem.detail.removeprefix(f"{view.name}: ")


def _away_row(view: NodeView) -> Row | None:
    """In the place of containers that nobody can list; its key names none."""
    reason = containers_unknown(view)
    if not reason:
        return None
    node = view.sections.get("node", {}).get("")
    if node is None:
        state = Cell(view.state, STATE_TONES[view.state], sort=-1)
    else:
        long = runtime_words(node.get("runtime_state") or "unknown")
        state = Cell("no runtime", "bad", sort=-1, wide=long)
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        Cell(words.UNKNOWN),
        state,
        *(Cell(words.UNKNOWN) for _ in range(3)),
        Cell(reason, "dim"),
        Cell(words.UNKNOWN),
        age_cell(view),
        Cell(""),
    )
    return make_row(f"{view.name}/", view.name, cells, dim=view.state != "live", loud=2)


def container_of(view: NodeView, key: str) -> LiveContainer | None:
    """The container of a row's key, if it is still there."""
    _, _, container_id = key.rpartition("/")
    return next((c for c in view.containers() if c.id == container_id), None)


def _cells(
    container: LiveContainer, view: NodeView
) -> tuple[tuple[Cell, Cell], tuple[Cell, Cell, Cell, Cell, Cell]]:
    return (
        (Cell(container.name, sort=container.name), state_cell(container)),
        (
            Cell(words.percent(container.cpu_percent), sort=container.cpu_percent),
            _memory(container.memory_used_bytes, container.memory_limit_bytes),
            Cell(gpu_words(container, view), sort=len(container.gpus)),
            Cell(short_image(container.image), sort=container.image, wide=container.image),
            _up(container),
        ),
    )


def _memory(used: int | None, limit: int | None) -> Cell:
    if used == 0:
        return Cell(words.container_size(used), sort=0)
    return Cell(words.size(used), sort=used, wide=words.share(used, limit))


def short_image(image: str) -> str:
    """Without registry and folders: "registry.local/vision/web:1" is "web:1"."""
    return image.partition("@")[0].rpartition("/")[2]


def state_cell(container: LiveContainer) -> Cell:
    """The state; the health where it says more; the exit code where it ended."""
    state, wide = container.state, str(container.state)
    if state == "running":
        if container.health == "unhealthy":
            return Cell("unhealthy", "bad", sort=1, wide="running, unhealthy")
        if container.health == "starting":
            return Cell("starting", "warn", sort=8, wide="running, starting")
        return Cell("running", "good", sort=9, wide=wide)
    text, tone = str(state), "warn"
    if state in {"exited", "dead"}:
        code = container.exit_code
        text = f"exited {code}" if code is not None and state == "exited" else text
        tone = "dim" if code == 0 else "bad"
    elif state == "restarting":
        text, tone = "restarts", "bad"
        wide = f"restarting, {container.restart_count} times"
    return Cell(
        text,
        tone,
        sort=_STATE_ORDER.index(state) if state in _STATE_ORDER else 5,
        wide=wide if state == "restarting" else text,
    )


def gpu_words(container: LiveContainer, view: NodeView) -> str:
    """Which GPUs it asked for: see `gpu_indices`."""
    return gpu_indices(container.gpus, view)


def gpu_indices(gpus: Iterable[str], view: NodeView) -> str:
    """By index: "0,1", "all"; an unknown UUID by its beginning."""
    index = {uuid: record.get("index") for uuid, record in view.sections.get("gpus", {}).items()}
    names = [
        str(index[gpu]) if gpu in index else gpu.removeprefix("GPU-")[:_UUID_PARTS] for gpu in gpus
    ]
    return ",".join(names)


def _up(container: LiveContainer) -> Cell:
    """Since when it is as it is."""
    at = container.started_at if container.state == "running" else container.finished_at
    if at is None:
        return Cell(words.UNKNOWN)
    return Cell(words.age(max(0.0, time.time() - at)), sort=-at)
