"""A node as a row of the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from agent.protocol.findings import SEVERITIES
from console.fleet.picture import NodeState, NodeView
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row

COLUMNS = (
    Column("name", "NODE", (15, 15, 20, 24), grow=12),
    Column("state", "STATE", (10, 10, 12, 12)),
    Column("driver", "DRV", (0, 3, 10, 12)),
    Column("cuda", "CUDA", (0, 4, 5, 5)),
    Column("gpus", "GPUS", (9, 10, 12, 16), grow=6, largest_first=True),
    Column("utilization", "UTIL", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (0, 4, 11, 12), "right", largest_first=True),
    Column("temperature", "TEMP", (4, 4, 5, 5), "right", largest_first=True),
    Column("containers", "CTRS", (0, 4, 5, 6), "right", largest_first=True),
    Column("findings", "FIND", (6, 6, 7, 8), largest_first=True),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
    Column("labels", "LABELS", (0, 0, 0, 28), grow=60),
    Column("address", "ADDRESS", (0, 0, 0, 24), grow=20),
)

STATE_TONES: dict[NodeState, str] = {
    "live": "good",
    "connecting": "",
    "stale": "warn",
    "offline": "bad",
    "refused": "bad",
}
# The nearer to a person's attention, the lower.
_STATE_ORDER: dict[NodeState, int] = {
    "refused": 0,
    "offline": 1,
    "stale": 2,
    "connecting": 3,
    "live": 4,
}
# Why there are no GPU figures, in at most 9 cells, and what the node says in full is on its screen.
STACK_WORDS = {
    "no_gpu": "none",
    "no_library": "no lib",
    "driver_not_loaded": "no driver",
    "driver_mismatch": "mismatch",
    "no_permission": "denied",
    "hung": "hung",
    "error": "error",
}
SEVERITY_WORDS = {"info": "info", "warning": "warn", "error": "err", "critical": "crit"}
SEVERITY_TONES = {"info": "dim", "warning": "warn", "error": "bad", "critical": "bad"}

# From here on a GPU is called hot; data-centre boards slow down at 83 to 90.
HOT_CELSIUS = 83
FULL_PERCENT = 95


def fleet_row(view: NodeView, glyphs: Glyphs) -> Row:
    """Reads the records as they are: this runs for every node at every refresh."""
    entry, state = view.entry, view.state
    gpus = sorted(
        view.sections.get("gpus", {}).values(), key=lambda gpu: int(gpu.get("index") or 0)
    )
    live = state == "live"
    cells = (
        Cell(entry.name, sort=entry.name, tag="PROD" if entry.production else ""),
        state_cell(state, glyphs),
        *_stack(view),
        _gpus(view, gpus, glyphs),
        *_figures(gpus, glyphs),
        _containers(view),
        findings_cell(view.sections.get("findings", {}).values())
        if "findings" in view.sections
        else Cell(words.UNKNOWN),
        age_cell(view),
        Cell(" ".join(f"{key}={value}" for key, value in entry.labels.items()), "dim"),
        Cell(entry.address, "dim"),
    )
    return make_row(entry.name, entry.name, cells, dim=not live, loud=1)


def is_simulated(view: NodeView) -> bool:
    """Whether there is no such machine: its label says so before it has ever answered."""
    node = view.sections.get("node", {}).get("", {})
    agent = view.sections.get("facts", {}).get("", {}).get("agent") or {}
    return (
        view.entry.labels.get("simulated") == "true"
        or bool(agent.get("simulated"))
        or "simulated" in {node.get("gpu_state"), node.get("runtime_state")}
    )


def state_cell(state: NodeState, glyphs: Glyphs) -> Cell:
    sign = f"{glyphs.states[state]} {state}"
    # "connecting" fills ten cells by itself.
    text = state if state == "connecting" else sign
    return Cell(text, STATE_TONES[state], sort=_STATE_ORDER[state], wide=sign, data=state)


def age_cell(view: NodeView) -> Cell:
    """Empty while live: the figures are of now."""
    if view.state == "live":
        return Cell("", sort=0)
    seconds = view.age_seconds()
    return Cell(words.age(seconds), sort=seconds)


def findings_cell(findings: Iterable[dict[str, Any]]) -> Cell:
    """How many, and the word of the worst: "3 crit"."""
    ranks = [
        SEVERITIES.index(finding["severity"])
        for finding in findings
        if finding.get("severity") in SEVERITIES
    ]
    if not ranks:
        return Cell("", sort=0)
    worst = SEVERITIES[max(ranks)]
    # The worst counts first, then how many.
    return Cell(
        f"{len(ranks)} {SEVERITY_WORDS[worst]}",
        SEVERITY_TONES[worst],
        sort=max(ranks) * 1000 + len(ranks),
    )


def _stack(view: NodeView) -> tuple[Cell, Cell]:
    facts = view.sections.get("facts", {}).get("", {})
    stack = facts.get("gpu_stack") or {}
    driver, cuda = stack.get("driver_version"), stack.get("cuda_version")
    return (
        Cell(driver.split(".")[0], sort=_version(driver), wide=driver)
        if driver
        else Cell(words.UNKNOWN),
        Cell(cuda, sort=_version(cuda)) if cuda else Cell(words.UNKNOWN),
    )


@lru_cache(maxsize=256)
def _version(text: str) -> float | None:
    """ "535.183.01" as a number that sorts; None where it is none."""
    value = 0.0
    for position, part in enumerate(text.split(".")[:3]):
        if not part.isdecimal():
            return None
        value += int(part) / 10000.0**position
    return value


def _gpus(view: NodeView, gpus: list[dict[str, Any]], glyphs: Glyphs) -> Cell:
    state = view.sections.get("node", {}).get("", {}).get("gpu_state")
    if state in STACK_WORDS:
        return Cell(STACK_WORDS[state], "" if state == "no_gpu" else "bad", sort=len(gpus))
    if not gpus:
        return Cell(words.UNKNOWN)
    whole = _gpu_list(tuple(str(gpu.get("name")) for gpu in gpus), glyphs)
    text = words.gpus_with_broken(whole, (gpu.get("state") for gpu in gpus))
    return Cell(text, "" if text == whole else "bad", sort=len(gpus))


@lru_cache(maxsize=1024)
def _gpu_list(names: tuple[str, ...], glyphs: Glyphs) -> str:
    return words.gpu_list((words.gpu_model(name) for name in names), glyphs)


def _figures(gpus: list[dict[str, Any]], glyphs: Glyphs) -> tuple[Cell, Cell, Cell]:
    """Mean utilization, memory of all, the hottest; each over the GPUs that tell."""
    loads = _known(gpus, "utilization_percent")
    load = sum(loads) / len(loads) if loads else None
    used, total = _known(gpus, "memory_used_bytes"), _known(gpus, "memory_total_bytes")
    full = 100 * sum(used) / sum(total) if used and sum(total) else None
    heat = max(_known(gpus, "temperature_celsius"), default=None)
    return (
        Cell(words.percent(load), sort=load),
        Cell(
            words.percent(full),
            "warn" if full is not None and full >= FULL_PERCENT else "",
            sort=full,
            wide=words.share(int(sum(used)), int(sum(total))) if used else words.UNKNOWN,
        ),
        heat_cell(heat, glyphs),
    )


def heat_cell(celsius: float | None, glyphs: Glyphs) -> Cell:
    """A hot GPU has a "!" beside the number too."""
    if celsius is None:
        return Cell(words.UNKNOWN)
    hot = celsius >= HOT_CELSIUS
    text = f"{'!' if hot else ''}{celsius:.0f}{glyphs.degree}"
    return Cell(text, "bad" if hot else "", sort=celsius)


def _containers(view: NodeView) -> Cell:
    """Running ones, and of how many; unknown where the runtime does not answer."""
    runtime = view.sections.get("node", {}).get("", {}).get("runtime_state")
    if runtime not in {"ok", "simulated"}:
        return Cell(words.UNKNOWN)
    containers = view.sections.get("containers", {}).values()
    states = [container.get("state") for container in containers]
    running = states.count("running")
    text = str(running) if running == len(states) else f"{running}/{len(states)}"
    return Cell(text, sort=running)


def _known(records: list[dict[str, Any]], field: str) -> list[float]:
    return [value for record in records if (value := record.get(field)) is not None]
