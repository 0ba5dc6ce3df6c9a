"""What Roost placed on a node without an agent: workloads, plans, deployments."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from agent.protocol.deployments import (
    DeployedWorkload,
    Deployment,
    DeployOptions,
    DeployPlan,
    GpuChoice,
    PinRequest,
    PlannedWorkload,
    ResolveRequest,
    StateChange,
    WorkloadStatus,
)
from agent.protocol.jobs import Job
from agent.protocol.problems import Problem
from console.fleet.picture import NodeView
from tests.console.tui import fakes
from tests.console.tui.fakes import begun, uuid_of

NO_ROOM = Problem(
    code="placement.memory",
    title="It does not fit",
    status=409,
    detail="GPU 1 (NVIDIA A10) has 2.0 GiB that nobody has reserved, 6.0 GiB are wanted",
    hint="Choose another GPU, reserve less, or move a workload away from it.",
)


@dataclass
class FakeWorkloads:
    """`answer` is awaited before anything is answered, and may raise."""

    view: NodeView
    answer: Callable[[], Awaitable[None]]
    placed: builtins.list[WorkloadStatus] = field(default_factory=list)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    problems: builtins.list[Problem] = field(default_factory=list)
    lost: builtins.list[str] = field(default_factory=list)
    planned: builtins.list[tuple[str, PinRequest]] = field(default_factory=list)
    pinned: builtins.list[tuple[str, PinRequest]] = field(default_factory=list)
    undone: builtins.list[str] = field(default_factory=list)
    removed: builtins.list[str] = field(default_factory=list)
    restarted: builtins.list[str] = field(default_factory=list)
    confirmed: builtins.list[str] = field(default_factory=list)
    resolved: builtins.list[tuple[str, str]] = field(default_factory=list)
    lists: int = 0
    """How often it was asked for its workloads."""

    async def list(self) -> builtins.list[WorkloadStatus]:
        await self.answer()
        self.lists += 1
        return [msgspec.structs.replace(each) for each in self.placed]

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        await self.answer()
        self.planned.append((container, request))
        name = self._name(container)
        planned = PlannedWorkload(
            name=name,
            action="replace",
            strategy="stop-then-start",
            strategy_why="both want port 8000",
            gpus=[GpuChoice(uuid=request.gpu.select, index=1, name="NVIDIA A10")],
            gpu_way="cdi",
            steps=[
                "make the new container on GPU 1 NVIDIA A10 (cdi)",
                f"stop the old container and keep it as {name}.kept-...",
                "start the new one",
                "wait until it is well, at most 120 s",
                "look from inside whether it sees its GPUs, and no other",
                "watch it for 10 s",
                "downtime: the old one's stop and the new one's start",
                "if any of this fails: the old container runs again as before",
            ],
            changes=["GPUs: GPU-a-0 (cdi) becomes GPU-a-1 (cdi)"],
            lost=list(self.lost),
            problems=[*self.problems],
        )
        return DeployPlan(release=f"pin {name}", workloads=[planned])

    async def pin(self, container: str, request: PinRequest, key: str) -> Job:
        await self.answer()
        self.pinned.append((container, request))
        return begun(self.view, "workload.deploy", f"pin {self._name(container)}")

    async def deployment(self, deployment: str) -> Deployment:
        await self.answer()
        return self.deployments[deployment]

    async def undo(self, workload: str, deployment: str | None = None) -> Job:
        await self.answer()
        assert deployment == f"d-{workload}"
        self.undone.append(workload)
        return begun(self.view, "workload.revert", f"pin {workload}")

    async def remove(self, workload: str, key: str) -> Job:
        await self.answer()
        self.removed.append(workload)
        return begun(self.view, "workload.remove", workload)

    async def restart(self, workload: str, key: str) -> Job:
        await self.answer()
        self.restarted.append(workload)
        return begun(self.view, "workload.restart", workload)

    async def confirm_workload(self, workload: str) -> Deployment:
        await self.answer()
        self.confirmed.append(workload)
        deployment = self.deployments[f"d-{workload}"]
        deployment.confirmed = True
        return deployment

    async def resolve(self, workload: str, request: ResolveRequest) -> Job:
        await self.answer()
        self.resolved.append((workload, request.how))
        return begun(self.view, "workload.revert", workload)

    def _name(self, container: str) -> str:
        return str(self.view.sections["containers"][container]["name"])

    # what tests put there

    def put(self, name: str, **fields: object) -> WorkloadStatus:
        """A workload whose container is the node's one of that name, on its first GPU."""
        containers = self.view.sections["containers"]
        found = next((key for key, each in containers.items() if each["name"] == name), None)
        words: dict[str, object] = {
            "name": name,
            "release": f"pin {name}",
            "container": found,
            "state": "running" if found else "missing",
            "gpus": [uuid_of(self.view.name, 0)],
            "gpu_way": "cdi",
            "deployment": f"d-{name}",
            "deployment_state": "done",
            "can_undo": True,
            **fields,
        }
        if fields.get("memory_bytes"):
            asked = {"select": "least-memory", "memory_bytes": fields["memory_bytes"]}
            words.setdefault("gpu", asked)
        status = msgspec.convert(words, WorkloadStatus)
        self.placed.append(status)
        self.deployments[f"d-{name}"] = Deployment(
            id=f"d-{name}",
            release=status.release,
            state="done",
            owner="maria@depot",
            created_at=fakes.NOW - 7200,
            options=DeployOptions(),
            workloads=[
                DeployedWorkload(
                    name=name,
                    strategy="stop-then-start",
                    gpus=status.gpus,
                    gpu_way="cdi",
                    gpu_checked="nvidia-smi",
                    gpu_check=f"nvidia-smi inside it lists {', '.join(status.gpus)}",
                    old="0" * 64,
                    new=found,
                )
            ],
            history=[
                StateChange(state="preparing", at=fakes.NOW - 7200, by="maria@depot"),
                StateChange(state="done", at=fakes.NOW - 7100, by="roost", why="it stayed well"),
            ],
            confirmed=True,
        )
        return status
