"""The GPUs of this node as placement sees them: what is free, reserved and broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.protocol.deployments import AT_REST
from agent.protocol.gpus import Gpu, GpuSample
from agent.rules.placement import GpuSlot
from agent.workloads.records import DeploymentRecord, Part, WorkloadRecord

Placed = tuple[str, Sequence[str], int, bool]  # workload, GPUs, bytes on each, exclusive


def slots(
    gpus: Sequence[Gpu],
    samples: Iterable[GpuSample],
    workloads: Iterable[WorkloadRecord],
    deployments: Iterable[DeploymentRecord],
    planned: Iterable[Part] = (),
) -> list[GpuSlot]:
    """Every GPU, then its MIG slices. What deployments under way will have is theirs already.

    Args:
        planned: parts of the same request that have their GPUs.
    """
    figures = {sample.uuid: sample for sample in samples}
    placed = [
        *_placed(workloads, deployments),
        *((part.name, part.gpus, *_terms(part)) for part in planned),
    ]
    found = []
    for gpu in gpus:
        sample = figures.get(gpu.uuid)
        broken = None
        if sample is not None and sample.state != "ok":
            broken = sample.reason or sample.state
        found.append(
            GpuSlot(
                uuid=gpu.uuid,
                index=gpu.index,
                name=gpu.name,
                split=bool(gpu.mig),
                broken=broken,
                memory_total_bytes=gpu.memory_total_bytes,
                memory_used_bytes=None if sample is None else sample.memory_used_bytes,
                utilization_percent=None if sample is None else sample.utilization_percent,
                reserved=_reserved(gpu.uuid, placed),
                exclusive=_exclusive(gpu.uuid, placed),
            )
        )
        found += [
            GpuSlot(
                uuid=each.uuid,
                index=each.index,
                name=gpu.name,
                profile=each.profile or "unknown",
                broken=broken,
                memory_total_bytes=each.memory_total_bytes,
                reserved=_reserved(each.uuid, placed),
                exclusive=_exclusive(each.uuid, placed),
            )
            for each in gpu.mig_instances
        ]
    return found


def _placed(
    workloads: Iterable[WorkloadRecord], deployments: Iterable[DeploymentRecord]
) -> Iterable[Placed]:
    for each in workloads:
        yield each.name, each.gpus, *_terms(each)
    for record in deployments:
        if record.shown.state not in AT_REST:
            for part in record.parts:
                yield part.name, part.gpus, *_terms(part)


def _terms(each: WorkloadRecord | Part) -> tuple[int, bool]:
    request = each.gpu
    return (0, False) if request is None else (request.memory_bytes or 0, request.exclusive)


def _reserved(uuid: str, placed: Iterable[Placed]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, gpus, size, _ in placed:
        if uuid in gpus:
            found[name] = max(size, found.get(name, 0))
    return found


def _exclusive(uuid: str, placed: Iterable[Placed]) -> str | None:
    return next((name for name, gpus, _, alone in placed if alone and uuid in gpus), None)
