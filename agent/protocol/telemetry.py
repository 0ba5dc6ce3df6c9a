"""Figures now and over time."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.containers import ContainerFigures
from agent.protocol.gpus import GpuProcess, GpuSample


class HostSample(msgspec.Struct, kw_only=True):
    """The machine at one moment. `cpu_percent` is of all cores: never over 100."""

    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    load_1min: float | None = None
    disk_free_bytes: dict[str, int] = {}  # path of the filesystem to bytes
    unknown: dict[str, str] = {}


class Telemetry(msgspec.Struct, kw_only=True):
    """`GET /v1/telemetry`: the latest sample of everything, not rounded."""

    at: float  # Unix time, seconds
    host: HostSample
    gpus: list[GpuSample] = []
    processes: list[GpuProcess] = []
    containers: list[ContainerFigures] = []


Metric = Literal[
    "utilization_percent",
    "memory_used_bytes",
    "temperature_celsius",
    "power_watts",
    "sm_clock_mhz",
    "cpu_percent",
    "host_memory_used_bytes",
]
GPU_METRICS: tuple[Metric, ...] = (
    "utilization_percent",
    "memory_used_bytes",
    "temperature_celsius",
    "power_watts",
    "sm_clock_mhz",
)
HOST_METRICS: tuple[Metric, ...] = ("cpu_percent", "host_memory_used_bytes")


class Series(msgspec.Struct, kw_only=True):
    """One metric of one subject, oldest first; None where nothing was measured.

    At one-second resolution `values` are the samples; at one minute they are the medians, and
    `p95` and `max` stand beside them.
    """

    subject: str  # a GPU's UUID, or "host"
    metric: Metric
    values: list[float | None]
    p95: list[float | None] = []
    max: list[float | None] = []


class History(msgspec.Struct, kw_only=True):
    """`GET /v1/telemetry/history`. The last value belongs to `end_at`."""

    resolution_seconds: int
    end_at: float
    series: list[Series]
