"""A fleet without agents, for screens: named nodes with every state and fault, on a fixed clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from agent.protocol.containers import LogLine
from agent.protocol.findings import Finding
from agent.protocol.gpus import Gpu, GpuProcess, GpuStack, GpuStackState
from agent.protocol.images import NodeImage
from agent.protocol.jobs import Job, JobState
from agent.protocol.live import LiveContainer, LiveGpu, LiveNode, Record
from agent.protocol.node import (
    AgentInfo,
    Disk,
    HostFacts,
    NodeFacts,
    RuntimeFacts,
    ToolkitFacts,
)
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.picture import NodeState, NodeView

NOW = 1_777_900_000.0  # 2026-05-04T13:06:40Z
GIB = 1024**3


@dataclass(frozen=True)
class Board:
    """A kind of GPU."""

    name: str
    memory_gib: int
    driver: str
    cuda: str


T4 = Board("Tesla T4", 15, "470.256.02", "11.4")
A10 = Board("NVIDIA A10", 23, "535.183.01", "12.2")
RTX = Board("NVIDIA GeForce RTX 4090", 24, "550.90.07", "12.4")
ORIN = Board("Jetson AGX Orin", 30, "540.4.0", "12.6")
H200 = Board("NVIDIA H200", 141, "580.65.06", "13.0")
A100 = Board("NVIDIA A100-SXM4-40GB", 40, "535.183.01", "12.2")


def builtins(value: object) -> Record:
    record = msgspec.to_builtins(value)
    assert isinstance(record, dict)
    return record


def make_node(
    name: str,
    board: Board | None = A10,
    count: int = 1,
    *,
    state: NodeState = "live",
    seen_ago: float | None = 0.0,
    load: int = 40,
    celsius: int = 61,
    labels: dict[str, str] | None = None,
    production: bool = False,
    containers: int = 3,
    findings: list[Finding] | None = None,
    stack: GpuStackState = "ok",
    reason: str | None = None,
    problem: ProblemError | None = None,
) -> NodeView:
    """A node with `count` boards; `seen_ago` None is one that never answered."""
    entry = NodeEntry(
        name=name,
        address=f"ssh://roost@{name}.example",
        labels=labels or {"site": "plant-7"},
        production=production,
    )
    view = NodeView(entry)
    view.state = state
    view.seen_at = None if seen_ago is None else NOW - seen_ago
    view.problem = problem.problem() if problem is not None else None
    if seen_ago is None:
        return view
    view.sections = {
        "node": {"": builtins(_live_node(name, stack, reason, board))},
        "facts": {"": builtins(_facts(name, board, count, stack, reason))},
        "gpus": {},
        "processes": {},
        "containers": {},
        "findings": {f.key: builtins(f) for f in findings or []},
    }
    if board is not None and stack in {"ok", "simulated"}:
        for index in range(count):
            view.sections["gpus"][uuid_of(name, index)] = builtins(
                _live_gpu(board, index, load + index, celsius)
            )
    for number in range(containers):
        container = _container(name, number, gpu=board is not None)
        view.sections["containers"][container.id] = builtins(container)
        if container.gpus and view.sections["gpus"]:
            process = GpuProcess(
                gpu_uuid=uuid_of(name, 0),
                pid=4000 + number,
                name="python3",
                memory_used_bytes=(number + 1) * GIB,
                container=container.id,
            )
            view.sections["processes"][f"{process.gpu_uuid}/{process.pid}"] = builtins(process)
    return view


def uuid_of(node: str, index: int) -> str:
    return f"GPU-{node}-{index}"


def _live_node(
    name: str, stack: GpuStackState, reason: str | None, board: Board | None
) -> LiveNode:
    return LiveNode(
        name=name,
        gpu_state="no_gpu" if board is None else stack,
        gpu_reason=reason,
        runtime_state="ok",
        cpu_percent=17,
        memory_used_bytes=9 * GIB,
        memory_total_bytes=64 * GIB,
        disk_free_percent=41,
    )


def _live_gpu(board: Board, index: int, load: int, celsius: int) -> LiveGpu:
    return LiveGpu(
        index=index,
        name=board.name,
        state="ok",
        utilization_percent=min(100, load),
        memory_used_bytes=board.memory_gib * GIB * min(100, load + 20) // 100,
        memory_total_bytes=board.memory_gib * GIB,
        temperature_celsius=celsius,
        power_watts=65,
        sm_clock_mhz=1590,
    )


def _facts(
    name: str, board: Board | None, count: int, stack: GpuStackState, reason: str | None
) -> NodeFacts:
    return NodeFacts(
        name=name,
        agent=AgentInfo(version="0.1.0", api_version="1.0", boot="b1", started_at=NOW - 86400),
        host=HostFacts(
            hostname=name,
            os="Ubuntu 22.04.4 LTS",
            kernel="5.15.0-105-generic",
            architecture="amd64",
            cpu_model="Xeon D-1747NTE",
            cpu_count=16,
            memory_total_bytes=64 * GIB,
        ),
        gpu_stack=GpuStack(
            state="no_gpu" if board is None else stack,
            source="nvml",
            reason=reason,
            driver_version=board.driver if board is not None else None,
            cuda_version=board.cuda if board is not None else None,
        ),
        gpus=[
            Gpu(
                uuid=uuid_of(name, index),
                index=index,
                name=board.name,
                memory_total_bytes=board.memory_gib * GIB,
            )
            for index in range(count)
        ]
        if board is not None
        else [],
        toolkit=ToolkitFacts(version="1.17.8", mode="auto"),
        runtime=RuntimeFacts(
            state="ok",
            name="Docker Engine",
            version="24.0.7",
            api_version="1.43",
            image_store="graphdriver",
        ),
        disks=[
            Disk(
                path="/var/lib/docker",
                purposes=["runtime"],
                total_bytes=512 * GIB,
                free_bytes=210 * GIB,
            )
        ],
    )


def put_job(
    view: NodeView,
    job_id: str,
    state: JobState = "running",
    *,
    ago: float = 300.0,
    **fields: object,
) -> Job:
    """A job in the node's picture that came into its state `ago` seconds ago."""
    times = {"queued": "created_at", "running": "started_at"}
    words: dict[str, object] = {
        "id": job_id,
        "kind": "image.load",
        "subject": "detector:1.4",
        "state": state,
        "owner": "maria@depot",
        "created_at": NOW - ago - 5,
        times.get(state, "ended_at"): NOW - ago,
        **fields,
    }
    job = msgspec.convert(words, Job)
    view.sections.setdefault("jobs", {})[job_id] = builtins(job)
    return job


def make_image(tag: str, build: int = 1, **fields: object) -> NodeImage:
    """An image; another `build` is another image of that name."""
    digest = hashlib.sha256(f"{tag} {build}".encode()).hexdigest()
    words: dict[str, object] = {
        "id": f"sha256:{digest}",
        "config_digest": f"sha256:{digest}",
        "diff_ids": [f"sha256:{digest[::-1]}"],
        "tags": [tag],
        "size_bytes": 600 * 1024**2,
        "created_at": NOW - 86400 * build,
        "tagged_at": NOW - 3600 * build,
        "architecture": "amd64",
        **fields,
    }
    return msgspec.convert(words, NodeImage)


def begun(view: NodeView, kind: str, subject: str, **fields: object) -> Job:
    """A new job that is queued on the node."""
    number = len(view.sections.get("jobs", {})) + 1
    return put_job(view, f"new{number}", "queued", ago=0, kind=kind, subject=subject, **fields)


_NAMES = ("detector", "tracker", "gateway", "recorder", "exporter", "trainer")


def _container(node: str, number: int, *, gpu: bool) -> LiveContainer:
    name = _NAMES[number % len(_NAMES)]
    uses_gpu = gpu and number < 2
    return LiveContainer(
        id=hashlib.sha256(f"{node}/{number}".encode()).hexdigest(),
        name=name,
        image=f"registry.local/vision/{name}:1.{number}.0",
        image_id=f"sha256:{number:064x}",
        state="exited" if number == 4 else "running",
        exit_code=137 if number == 4 else None,
        health="healthy" if number == 0 else "none",
        created_at=NOW - 90_000,
        started_at=NOW - 3600 * (number + 1),
        finished_at=NOW - 600 if number == 4 else None,
        ports=[f"0.0.0.0:80{number:02d}->8000/tcp"],
        gpus=[uuid_of(node, 0)] if uses_gpu else [],
        gpu_way="cdi" if uses_gpu else "none",
        cpu_percent=5 * number,
        memory_used_bytes=(number + 1) * 256 * 1024**2,
        memory_limit_bytes=4 * GIB,
    )


def finding(code: str, severity: str, title: str, subject: str = "node") -> Finding:
    return msgspec.convert(
        {
            "code": code,
            "severity": severity,
            "subject": subject,
            "title": title,
            "cause": f"This is why: {title.lower()}.",
            "mend": "Run `sudo nvidia-smi -pm 1`, then look again.",
            "evidence": {"seen": "in the kernel's log"},
            "since": NOW - 7200,
        },
        Finding,
    )


MISMATCH = finding(
    "gpu.driver_mismatch", "critical", "The driver's module and its library differ: 550 and 535"
)
DISK = finding(
    "disk.nearly_full", "warning", "/var/lib/docker is 97 % full", "disk//var/lib/docker"
)
XID = finding("gpu.xid", "error", "XID 79: the GPU has fallen off the bus", "gpu/GPU-cam-xid-0")


def varied_nodes() -> list[NodeView]:
    """Thirty nodes: every state, every board, every fault of the demo."""
    offline = ProblemError("link.unreachable", "cam-off: no route to host", hint="Is it on?")
    refused = ProblemError(
        "ssh.host_key_changed", "the host key of gate-2 has changed", hint="Run `ssh gate-2` once."
    )
    nodes = [
        make_node("bench-t4", T4, 2, load=88, celsius=84, labels={"site": "lab", "gpu": "t4"}),
        make_node("cam-fast", RTX, load=97, celsius=79),
        make_node("cam-hung", A10, stack="hung", reason="NVML has not come back for 40 s"),
        make_node("cam-mig", A100, 1, load=55),
        make_node(
            "cam-mismatch",
            A10,
            stack="driver_mismatch",
            reason="module 550.90.07, library 535.183.01",
            findings=[MISMATCH],
        ),
        make_node("cam-off", A10, state="offline", seen_ago=7500, problem=offline),
        make_node("cam-full", A10, findings=[DISK]),
        make_node("cam-new", None, state="connecting", seen_ago=None),
        make_node("cam-none", None, containers=1),
        make_node("cam-slow", T4, state="stale", seen_ago=190),
        make_node("cam-xid", A10, findings=[XID, DISK]),
        make_node("gate-1", H200, 8, load=70, production=True, labels={"site": "dc", "tier": "a"}),
        make_node("gate-2", H200, 8, state="refused", seen_ago=90_000, production=True,
                  problem=refused, labels={"site": "dc", "tier": "a"}),
        make_node("orin-1", ORIN, load=33, containers=2, labels={"site": "truck-3"}),
    ]  # fmt: skip
    nodes += [
        make_node(f"plant7-cam-{n:02d}", A10, load=20 + n * 3, containers=n % 6)
        for n in range(1, 17)
    ]
    return nodes


def some_log(count: int) -> list[LogLine]:
    """Lines as a detector writes them; some on stderr, some long."""
    lines = []
    for number in range(count):
        minute, second = divmod(number, 60)
        text = f"frame {number} 1920x1080 detections={number % 7} latency={8 + number % 5} ms"
        if number % 40 == 7:
            text = f"WARN dropped frame {number}: queue is full " + "because " * 12
        lines.append(
            LogLine(
                text=text,
                at=f"2026-05-04T{10 + minute // 60:02d}:{minute % 60:02d}:{second:02d}.5Z",
                stream="stderr" if number % 40 == 7 else "stdout",
            )
        )
    return lines
