"""A simulated node's machine, from its kind and its seed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import msgspec

from agent.host.simulated import SimulatedHost
from agent.protocol.node import Disk, HostFacts
from agent.rules.chance import repeatable
from agent.simulation.pattern import Pattern
from agent.simulation.plan import NodePlan

DAY_SECONDS = 86_400
FULL_DISK_FREE_SHARE = 0.013


def build_host(
    plan: NodePlan, *, now: Callable[[], float], cdi_devices: Sequence[str] = ()
) -> SimulatedHost:
    """Booted some days before `now`; nearly out of disk if that is its fault."""
    machine = plan.kind.machine
    seed = f"{plan.seed}/host"
    chance = repeatable(seed)
    free = FULL_DISK_FREE_SHARE if plan.fault == "disk-full" else chance.uniform(0.3, 0.7)
    return SimulatedHost(
        HostFacts(
            hostname=plan.name,
            os=machine.os,
            os_id=machine.os_id,
            os_version=machine.os_version,
            kernel=machine.kernel,
            architecture=machine.architecture,
            machine=f"{machine.model} (simulated)",
            cpu_model=machine.cpu_model,
            cpu_count=machine.cpu_count,
            memory_total_bytes=machine.memory_bytes,
            boot_id=str(uuid.UUID(int=chance.getrandbits(128))),
            booted_at=float(int(now() - chance.uniform(0.5, 200.0) * DAY_SECONDS)),
            timezone=plan.timezone,
            unknown={} if machine.cpu_model else {"cpu_model": "not_reported"},
        ),
        msgspec.structs.replace(plan.kind.toolkit, cdi_devices=list(cdi_devices)),
        Disk(
            path="/",
            purposes=["system", "runtime", "roost"],
            total_bytes=machine.disk_bytes,
            free_bytes=int(free * machine.disk_bytes),
            filesystem=machine.filesystem,
        ),
        Pattern(
            seed,
            peak=chance.uniform(0.3, 0.55),
            utc_offset_seconds=plan.utc_offset_hours * 3600,
        ),
        memory_share=chance.uniform(0.25, 0.5),
        now=now,
    )
