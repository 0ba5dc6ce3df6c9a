"""GPUs in a table."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.live import LiveGpu
from console.cli.node_words import memory
from console.cli.table import UNKNOWN, Column, Row, print_table
from console.tui.look.words import gpu_model

COLUMNS = (
    Column("#", right=True),
    Column("GPU", least=8),
    Column("STATE", least=7),
    Column("UTIL", right=True),
    Column("MEM", keep=8, right=True),
    Column("TEMP", keep=7, right=True),
    Column("POWER", keep=5, right=True),
    Column("CLOCK", keep=3, right=True),
    Column("THROTTLED BY", keep=2, least=12),
    Column("REASON", keep=6, least=10),
)


def gpu_row(gpu: LiveGpu) -> Row:
    """The cells under `COLUMNS`."""
    return (
        str(gpu.index),
        gpu_model(gpu.name),
        gpu.state.replace("_", " "),
        _figure(gpu.utilization_percent, "%"),
        memory(gpu.memory_used_bytes, gpu.memory_total_bytes),
        _figure(gpu.temperature_celsius, "C"),
        _figure(gpu.power_watts, "W"),
        _figure(gpu.sm_clock_mhz, "MHz"),
        ",".join(gpu.throttle),
        gpu.reason or "",
    )


def print_gpus(gpus: Sequence[LiveGpu]) -> None:
    """All GPUs of one node."""
    print_table(COLUMNS, [gpu_row(gpu) for gpu in gpus])


def _figure(value: int | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value}{unit}"
