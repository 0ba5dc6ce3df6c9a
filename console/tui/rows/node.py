"""A node's processes and facts as rows."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.node import NodeFacts, ToolkitFacts
from console.fleet.agent_words import upgrade_lines
from console.fleet.gpu_ways import way_lines
from console.fleet.picture import NodeView
from console.text import plural
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import never_answered

PROCESS_COLUMNS = (
    Column("pid", "PID", (8, 8, 8, 8), "right"),
    Column("name", "PROCESS", (18, 24, 34, 50), grow=30),
    Column("gpu", "GPU", (3, 3, 3, 3), "right"),
    Column("memory", "GPU MEM", (8, 8, 8, 8), "right", largest_first=True),
    Column("kind", "KIND", (0, 8, 8, 8)),
    Column("container", "CONTAINER", (12, 18, 24, 30), grow=20),
)

FACT_COLUMNS = (
    Column("fact", "FACT", (18, 20, 24, 26)),
    Column("value", "VALUE", (38, 56, 90, 150), grow=100),
)


def process_rows(view: NodeView) -> list[Row]:
    """Processes with memory on a GPU, the biggest first."""
    gpus = view.sections.get("gpus", {})
    containers = view.sections.get("containers", {})
    rows = []
    for process in sorted(view.processes(), key=lambda p: -(p.memory_used_bytes or 0)):
        container = process.container
        owner = ""
        if container:
            owner = str(containers.get(container, {}).get("name") or container[:12])
        memory = process.memory_used_bytes
        cells = (
            Cell(str(process.pid), sort=process.pid),
            Cell(process.name or words.UNKNOWN, sort=process.name),
            Cell(str(gpus.get(process.gpu_uuid, {}).get("index", words.UNKNOWN))),
            Cell(words.size(memory), sort=memory),
            Cell(process.kind),
            Cell(owner or "(host)", "" if owner else "dim"),
        )
        key = f"{process.gpu_uuid}/{process.pid}"
        rows.append(make_row(key, view.name, cells, dim=view.state != "live"))
    return rows


def records_unknown(view: NodeView) -> str:
    """Why nothing is known of the node; empty where it has ever answered."""
    return "" if "node" in view.sections else never_answered(view)


def processes_unknown(view: NodeView) -> str:
    """Why nobody knows what runs on the GPUs; empty where it is known."""
    node = view.sections.get("node", {}).get("")
    if node is None:
        return never_answered(view)
    state = node.get("gpu_state") or "unknown"
    if state in {"ok", "simulated", "no_gpu"}:
        return ""
    return str(node.get("gpu_reason") or state.replace("_", " "))


def fact_rows(view: NodeView) -> list[Row]:
    """What the node is, one fact a line."""
    pairs = [("state", _state(view)), ("address", view.entry.address)]
    labels = " ".join(f"{key}={value}" for key, value in view.entry.labels.items())
    pairs.append(("labels", labels or "none"))
    if (facts := view.facts()) is not None:
        pairs.extend(_facts(facts))
    else:
        pairs.append(("facts", "unknown: the agent has not answered yet"))
    offset = view.clock_offset_seconds
    if offset is not None:
        pairs.append(("clock", f"{offset:+.1f} s against this console"))
    return [
        make_row(f"{index}:{name}", view.name, (Cell(name, "dim"), Cell(value)))
        for index, (name, value) in enumerate(pairs)
    ]


def _state(view: NodeView) -> str:
    text: str = view.state
    if view.state != "live":
        seconds = view.age_seconds()
        text += ", never heard of" if seconds is None else f", last heard {words.age(seconds)} ago"
    if view.problem is not None:
        text += f": {view.problem.detail}"
    return text


def _switch(name: str, *, on: bool | None) -> str:
    """ "ECC on"; nothing where it is not known."""
    return "" if on is None else f"{name} {'on' if on else 'off'}"


def _toolkit(toolkit: ToolkitFacts) -> str:
    """What is not known of one that is not installed is nothing to tell."""
    if "version" not in toolkit.unknown and toolkit.version is None:
        return "not installed"
    known = "" if "version" in toolkit.unknown else toolkit.version or ""
    unknown = [f"{name}: {why}" for name, why in toolkit.unknown.items()]
    return words.join([known, toolkit.mode or "", *unknown])


def _facts(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    host, stack, runtime, toolkit = facts.host, facts.gpu_stack, facts.runtime, facts.toolkit
    unknown = words.UNKNOWN
    yield "host", words.join([host.hostname, host.machine or ""])
    yield "system", words.join([host.os, f"kernel {host.kernel}", host.architecture])
    yield (
        "processor",
        words.join(
            [
                host.cpu_model or "",
                f"{host.cpu_count} cores",
                f"{words.size(host.memory_total_bytes)} memory",
            ]
        ),
    )
    yield "driver", words.join([stack.driver_version or unknown, stack.reason or ""])
    yield (
        "CUDA",
        words.join(
            [
                f"up to {stack.cuda_version}" if stack.cuda_version else unknown,
                f"NVML {stack.nvml_version}" if stack.nvml_version else "",
                f"L4T {stack.l4t_version}" if stack.l4t_version else "",
            ]
        ),
    )
    for gpu in facts.gpus:
        yield (
            f"GPU {gpu.index}",
            words.join(
                [
                    gpu.name,
                    words.size(gpu.memory_total_bytes),
                    f"compute {gpu.compute_capability}" if gpu.compute_capability else "",
                    f"{len(gpu.mig_instances)} MIG" if gpu.mig_instances else "",
                    _switch("persistence", on=gpu.persistence),
                    _switch("ECC", on=gpu.ecc),
                    gpu.pci_bus_id or "",
                    gpu.uuid,
                ]
            ),
        )
        for part in gpu.mig_instances:
            texts = [part.profile or unknown, words.size(part.memory_total_bytes), part.uuid]
            yield f"MIG {gpu.index}/{part.index}", words.join(texts)
    yield "toolkit", _toolkit(toolkit)
    yield (
        "runtime",
        words.join(
            [
                f"{runtime.name or unknown} {runtime.version or ''}".strip(),
                f"API {runtime.api_version}" if runtime.api_version else "",
                f"store {runtime.image_store}" if runtime.image_store else "",
                f"runtimes {' '.join(runtime.runtimes)}" if runtime.runtimes else "",
                plural(len(runtime.cdi_devices), "CDI device") if runtime.cdi_devices else "",
                "rootless" if runtime.rootless else "",
                runtime.reason or "",
            ]
        ),
    )
    for line in way_lines(facts):
        yield "GPU way", line
    for disk in facts.disks:
        free = 100 * disk.free_bytes / disk.total_bytes if disk.total_bytes else None
        space = f"{words.size(disk.free_bytes)} free of {words.size(disk.total_bytes)}"
        yield (
            f"disk {disk.path}",
            f"{space} ({words.percent(free)}), {words.join(disk.purposes)}",
        )
    agent = facts.agent
    yield "agent", words.join([f"{agent.version}, API {agent.api_version}"])
    for line in upgrade_lines(agent):
        yield "agent's kit", line
    if agent.simulated:
        yield "simulated", "yes: nothing here is a real machine"
