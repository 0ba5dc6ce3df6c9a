"""`/metrics` for Prometheus.

GPU figures carry the DCGM exporter's names, labels and units wherever NVML has the value, so
that its dashboards work (names and units from dcgm-exporter's default-counters.csv, labels
from its render_metrics.go). What only DCGM's profiling can tell is left out, never made up.
The rest is `roost_*`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from litestar import Response, get

from agent.http.caller import TheNode
from agent.live.facts import agent_version
from agent.node import Node
from agent.protocol.exposition import MEDIA_TYPE, Exposition, Kind
from agent.protocol.gpus import Gpu, GpuHealth, GpuSample
from agent.rules.quantise import MEBIBYTE

Labels = dict[str, str]


class _Sampled(NamedTuple):
    name: str
    kind: Kind
    text: str
    value: Callable[[GpuSample], float | None]


class _Counted(NamedTuple):
    name: str
    kind: Kind
    text: str
    value: Callable[[GpuHealth], float | None]


def _mebibytes(value: int | None) -> float | None:
    return None if value is None else value // MEBIBYTE


def _free_mebibytes(sample: GpuSample) -> float | None:
    if sample.memory_total_bytes is None or sample.memory_used_bytes is None:
        return None
    free = (
        sample.memory_total_bytes - sample.memory_used_bytes - (sample.memory_reserved_bytes or 0)
    )
    return free // MEBIBYTE


SAMPLED = [
    _Sampled("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock (MHz).", lambda s: s.sm_clock_mhz),
    _Sampled("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock (MHz).", lambda s: s.memory_clock_mhz),
    _Sampled(
        "DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (C).", lambda s: s.temperature_celsius
    ),
    _Sampled(
        "DCGM_FI_DEV_MEMORY_TEMP",
        "gauge",
        "Memory temperature (C).",
        lambda s: s.memory_temperature_celsius,
    ),
    _Sampled("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (W).", lambda s: s.power_watts),
    _Sampled(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Energy since the driver was loaded (mJ).",
        lambda s: None if s.energy_joules is None else s.energy_joules * 1000,
    ),
    _Sampled(
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe replays.", lambda s: s.pcie_replay_count
    ),
    _Sampled(
        "DCGM_FI_DEV_GPU_UTIL",
        "gauge",
        "Share of time in which a kernel ran (%).",
        lambda s: s.utilization_percent,
    ),
    _Sampled(
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "gauge",
        "Memory utilization (%).",
        lambda s: s.memory_utilization_percent,
    ),
    _Sampled(
        "DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (%).", lambda s: s.encoder_percent
    ),
    _Sampled(
        "DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (%).", lambda s: s.decoder_percent
    ),
    _Sampled("DCGM_FI_DEV_FB_FREE", "gauge", "Free GPU memory (MiB).", _free_mebibytes),
    _Sampled(
        "DCGM_FI_DEV_FB_USED",
        "gauge",
        "Used GPU memory (MiB).",
        lambda s: _mebibytes(s.memory_used_bytes),
    ),
    _Sampled(
        "DCGM_FI_DEV_FB_RESERVED",
        "gauge",
        "GPU memory reserved by the driver (MiB).",
        lambda s: _mebibytes(s.memory_reserved_bytes),
    ),
]

COUNTED = [
    _Counted(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for uncorrectable errors.",
        lambda h: h.remapped_uncorrectable,
    ),
    _Counted(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for correctable errors.",
        lambda h: h.remapped_correctable,
    ),
    _Counted(
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
        "gauge",
        "Whether remapping of rows has failed.",
        lambda h: h.remap_failed,
    ),
    _Counted(
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "counter",
        "Corrected ECC errors since the driver was loaded.",
        lambda h: h.ecc_corrected_volatile,
    ),
    _Counted(
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "counter",
        "Uncorrected ECC errors since the driver was loaded.",
        lambda h: h.ecc_uncorrected_volatile,
    ),
    _Counted(
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL",
        "counter",
        "Corrected ECC errors in the GPU's life.",
        lambda h: h.ecc_corrected_aggregate,
    ),
    _Counted(
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
        "counter",
        "Uncorrected ECC errors in the GPU's life.",
        lambda h: h.ecc_uncorrected_aggregate,
    ),
    _Counted(
        "DCGM_FI_DEV_RETIRED_SBE",
        "counter",
        "Pages retired for single-bit errors.",
        lambda h: h.retired_pages_single_bit,
    ),
    _Counted(
        "DCGM_FI_DEV_RETIRED_DBE",
        "counter",
        "Pages retired for double-bit errors.",
        lambda h: h.retired_pages_double_bit,
    ),
    _Counted(
        "DCGM_FI_DEV_RETIRED_PENDING",
        "gauge",
        "Whether pages wait to be retired.",
        lambda h: h.retired_pages_pending,
    ),
]


@get("/metrics", tags=["metrics"], media_type="text/plain")
async def get_metrics(node: TheNode) -> Response[str]:
    """Prometheus text format: DCGM's names for the GPUs, `roost_*` for the rest."""
    return Response(render_metrics(node), media_type=MEDIA_TYPE)


def render_metrics(node: Node) -> str:
    """The page for one node."""
    page = Exposition()
    _add_gpus(page, node)
    _add_node(page, node)
    _add_containers(page, node)
    return page.render()


def _add_gpus(page: Exposition, node: Node) -> None:
    report = node.gpu_report()
    labels = {gpu.uuid: _gpu_labels(gpu, node) for gpu in report.gpus}
    for sampled in SAMPLED:
        for sample in report.samples:
            if sample.uuid in labels:
                page.add(*sampled[:3], sampled.value(sample), labels[sample.uuid])
    for counted in COUNTED:
        for health in report.health:
            if health.uuid in labels:
                page.add(*counted[:3], counted.value(health), labels[health.uuid])
    for xid in {xid.gpu_uuid: xid for xid in report.xids if xid.gpu_uuid in labels}.values():
        page.add(
            "DCGM_FI_DEV_XID_ERRORS",
            "gauge",
            "The last XID error.",
            xid.code,
            {
                **labels[xid.gpu_uuid or ""],
                "err_code": str(xid.code),
                "err_msg": xid.text or "",
            },
        )
    for sample in report.samples:
        if sample.uuid in labels:
            page.add(
                "roost_gpu_ok",
                "gauge",
                "1 if the GPU answers and works, 0 if it is lost, hung or needs a reset.",
                sample.state == "ok",
                {"UUID": sample.uuid, "state": sample.state},
            )


def _gpu_labels(gpu: Gpu, node: Node) -> Labels:
    return {
        "gpu": str(gpu.index),
        "UUID": gpu.uuid,
        "pci_bus_id": gpu.pci_bus_id or "",
        "device": f"nvidia{gpu.index if gpu.minor is None else gpu.minor}",
        "modelName": gpu.name,
        "Hostname": node.facts.host.hostname,
        "DCGM_FI_DRIVER_VERSION": node.facts.gpu_stack.driver_version or "",
    }


def _add_node(page: Exposition, node: Node) -> None:
    facts, host = node.facts, node.sampler.latest.host
    page.add(
        "roost_agent_info",
        "gauge",
        "The agent, its driver and runtime.",
        1,
        {
            "node": node.name,
            "version": agent_version(),
            "driver": facts.gpu_stack.driver_version or "",
            "cuda": facts.gpu_stack.cuda_version or "",
            "runtime": facts.runtime.name or "",
            "runtime_version": facts.runtime.version or "",
            "simulated": str(node.simulated).lower(),
        },
    )
    none: Labels = {}
    page.add("roost_cpu_percent", "gauge", "CPU use of all cores (%).", host.cpu_percent, none)
    page.add("roost_memory_used_bytes", "gauge", "Memory in use.", host.memory_used_bytes, none)
    page.add("roost_memory_total_bytes", "gauge", "Memory.", host.memory_total_bytes, none)
    for disk in facts.disks:
        path = {"path": disk.path}
        page.add("roost_disk_free_bytes", "gauge", "Free space.", disk.free_bytes, path)
        page.add(
            "roost_disk_total_bytes", "gauge", "Size of the filesystem.", disk.total_bytes, path
        )
    runtime_ok = facts.runtime.state in {"ok", "simulated"}
    page.add("roost_runtime_up", "gauge", "1 if the container runtime answers.", runtime_ok, none)
    findings = node.events.sections.get("findings", {}).values()
    counts = Counter((finding["code"], finding["severity"]) for finding in findings)
    for (code, severity), count in sorted(counts.items()):
        page.add(
            "roost_findings",
            "gauge",
            "What the doctor found.",
            count,
            {"code": code, "severity": severity},
        )


def _add_containers(page: Exposition, node: Node) -> None:
    figures = {entry.id: entry for entry in node.sampler.latest.containers}
    for container in sorted(node.runtime.containers().values(), key=lambda each: each.name):
        labels = {"container": container.name, "image": container.image}
        page.add(
            "roost_container_running",
            "gauge",
            "1 if the container runs.",
            container.state == "running",
            labels,
        )
        page.add("roost_container_restarts", "gauge", "Restarts.", container.restart_count, labels)
        used = figures.get(container.id)
        if used is not None:
            page.add(
                "roost_container_cpu_percent",
                "gauge",
                "CPU use in percent of one core.",
                used.cpu_percent,
                labels,
            )
            page.add(
                "roost_container_memory_used_bytes",
                "gauge",
                "Memory in use, without the page cache that can go.",
                used.memory_used_bytes,
                labels,
            )
