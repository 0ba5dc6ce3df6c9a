"""What `nvidia-smi -L` prints inside a simulated container."""

from __future__ import annotations

from collections.abc import Sequence

from agent.gpu.simulated import SimulatedGpu
from agent.protocol.containers import Container


def list_gpus(container: Container, gpus: Sequence[SimulatedGpu]) -> str | None:
    """One line per GPU and MIG instance that the container asked for; None: it asked for none."""
    if not container.gpus or not gpus:
        return None
    everything = "all" in container.gpus
    lines: list[str] = []
    for each in gpus:
        gpu = each.gpu
        instances = [
            instance
            for instance in gpu.mig_instances
            if everything or instance.uuid in container.gpus
        ]
        if not (everything or instances or gpu.uuid in container.gpus):
            continue
        lines.append(f"GPU {len(lines)}: {gpu.name} (UUID: {gpu.uuid})")
        lines += [
            f"  MIG {instance.profile}     Device  {number}: (UUID: {instance.uuid})"
            for number, instance in enumerate(instances)
        ]
    return "\n".join(lines)
