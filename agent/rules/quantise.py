"""Rounding of live figures, so that a quiet node is quiet on the wire.

Steps as DESIGN, "The wire", says: 1 %, 1 degree, 16 MiB. Power and clocks jitter at idle by
more than their last digit on real boards, so they get 5 W and 15 MHz (an NVIDIA clock step).
"""

from __future__ import annotations

MEBIBYTE = 1024 * 1024
MEMORY_STEP_BYTES = 16 * MEBIBYTE
POWER_STEP_WATTS = 5
CLOCK_STEP_MHZ = 15
# Containers are often smaller than one 16 MiB step.
CONTAINER_MEMORY_STEP_BYTES = 4 * MEBIBYTE
DISK_STEP_BYTES = 256 * MEBIBYTE


def whole(value: float | None) -> int | None:
    """To the next whole number: percent and degrees."""
    return None if value is None else round(value)


def stepped(value: float | None, step: int) -> int | None:
    """To the next multiple of `step`."""
    return None if value is None else round(value / step) * step


def memory(value: float | None) -> int | None:
    """To the next 16 MiB."""
    return stepped(value, MEMORY_STEP_BYTES)
