"""From samples to the rounded records of the live picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.protocol.containers import Container, ContainerFigures
from agent.protocol.findings import Finding
from agent.protocol.gpus import Gpu, GpuSample, GpuStack
from agent.protocol.live import LiveGpu, LiveNode, Record
from agent.protocol.node import Disk, NodeFacts, RuntimeFacts
from agent.protocol.telemetry import Telemetry
from agent.rules import quantise


def node_record(
    name: str,
    telemetry: Telemetry,
    stack: GpuStack,
    runtime: RuntimeFacts,
    disk_free_percent: int | None,
) -> Record:
    """The `node` section's one record."""
    host = telemetry.host
    return record(
        LiveNode(
            name=name,
            gpu_state=stack.state,
            gpu_reason=stack.reason,
            runtime_state=runtime.state,
            runtime_reason=runtime.reason,
            cpu_percent=quantise.whole(host.cpu_percent),
            memory_used_bytes=quantise.memory(host.memory_used_bytes),
            memory_total_bytes=host.memory_total_bytes,
            disk_free_percent=disk_free_percent,
        )
    )


def fullest_disk_percent(disks: Iterable[Disk]) -> int | None:
    """Free share of the fullest disk; None without disks."""
    shares = [100 * disk.free_bytes // disk.total_bytes for disk in disks if disk.total_bytes]
    return min(shares) if shares else None


def facts_record(facts: NodeFacts) -> Record:
    """Facts as the live picture has them: without what changes all the time."""
    quiet = msgspec.structs.replace(
        facts,
        now=None,
        agent=msgspec.structs.replace(facts.agent, role=None),
        disks=[
            msgspec.structs.replace(
                disk, free_bytes=quantise.stepped(disk.free_bytes, quantise.DISK_STEP_BYTES) or 0
            )
            for disk in facts.disks
        ],
    )
    return record(quiet)


def gpu_records(gpus: Iterable[Gpu], samples: Iterable[GpuSample]) -> dict[str, Record]:
    """GPUs that the inventory knows, with what was last sampled of them."""
    by_uuid = {sample.uuid: sample for sample in samples}
    return {gpu.uuid: record(_live_gpu(gpu, by_uuid.get(gpu.uuid))) for gpu in gpus}


def _live_gpu(gpu: Gpu, sample: GpuSample | None) -> LiveGpu:
    if sample is None:
        return LiveGpu(
            index=gpu.index, name=gpu.name, state="error", reason="not sampled", unknown={}
        )
    return LiveGpu(
        index=gpu.index,
        name=gpu.name,
        state=sample.state,
        reason=sample.reason,
        utilization_percent=quantise.whole(sample.utilization_percent),
        memory_used_bytes=quantise.memory(sample.memory_used_bytes),
        memory_total_bytes=sample.memory_total_bytes or gpu.memory_total_bytes,
        temperature_celsius=quantise.whole(sample.temperature_celsius),
        power_watts=quantise.stepped(sample.power_watts, quantise.POWER_STEP_WATTS),
        sm_clock_mhz=quantise.stepped(sample.sm_clock_mhz, quantise.CLOCK_STEP_MHZ),
        fan_percent=quantise.whole(sample.fan_percent),
        throttle=sample.throttle,
        unknown={**gpu.unknown, **sample.unknown},
    )


def process_records(telemetry: Telemetry) -> dict[str, Record]:
    """GPU processes, their memory rounded."""
    return {
        f"{process.gpu_uuid}/{process.pid}": record(
            msgspec.structs.replace(
                process, memory_used_bytes=quantise.memory(process.memory_used_bytes)
            )
        )
        for process in telemetry.processes
    }


def container_records(
    containers: Mapping[str, Container], figures: Iterable[ContainerFigures]
) -> dict[str, Record]:
    """Containers with their rounded figures."""
    by_id = {entry.id: entry for entry in figures}
    return {
        container.id: _live_container(container, by_id.get(container.id))
        for container in containers.values()
    }


def _live_container(container: Container, figures: ContainerFigures | None) -> Record:
    fields = record(container)
    step = quantise.CONTAINER_MEMORY_STEP_BYTES
    fields["cpu_percent"] = quantise.whole(figures.cpu_percent) if figures else None
    fields["memory_used_bytes"] = (
        quantise.stepped(figures.memory_used_bytes, step) if figures else None
    )
    fields["memory_limit_bytes"] = figures.memory_limit_bytes if figures else None
    return fields


def finding_records(findings: Iterable[Finding]) -> dict[str, Record]:
    """Findings by their key."""
    return {finding.key: record(finding) for finding in findings}


def record(struct: msgspec.Struct) -> Record:
    """A struct as a flat record of plain values."""
    built: Record = msgspec.to_builtins(struct)
    return built
