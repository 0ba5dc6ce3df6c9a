"""What `nvidia-smi -L` said, run inside a container."""

from __future__ import annotations

import re
from typing import NamedTuple

# Exit codes of shells and runtimes for "cannot be run" and "not found".
NOT_RUNNABLE = (126, 127)

# What nvidia-smi says when it runs and no GPU can be used. Anything else that fails says
# nothing about GPUs.
_SEES_NONE = (
    "no devices",
    "failed to initialize nvml",
    "couldn't communicate with the nvidia driver",
    "unable to determine the device handle",
)
# A container that asked for compute alone gets CUDA's library and not NVML's.
_NO_NVML = "couldn't find libnvidia-ml"
# A Jetson's own GPU, "Orin (nvgpu)", has a UUID without the "GPU-" before it.
_UUID = re.compile(r"\(UUID: ((?:GPU|MIG)-[^)\s]+|[0-9a-f]{8}-[^)\s]+)\)")


class SmiAnswer(NamedTuple):
    """`sees` None: nvidia-smi does not tell, and `reason` says why not."""

    sees: bool | None
    uuids: tuple[str, ...] = ()  # of GPUs and MIG devices, as listed
    reason: str | None = None
    broke: bool = False  # it was there and hung or died, which no healthy GPU makes it do


def read_smi(exit_code: int | None, output: str) -> SmiAnswer:
    """Judge an `nvidia-smi -L` by its exit code and what it wrote to both streams."""
    uuids = tuple(dict.fromkeys(_UUID.findall(output)))
    if uuids:
        return SmiAnswer(sees=True, uuids=uuids)
    said = next((line.strip() for line in output.splitlines() if line.strip()), "")[:200]
    if any(phrase in output.lower() for phrase in _SEES_NONE):
        return SmiAnswer(sees=False, reason=said)
    if _NO_NVML in output.lower():
        return SmiAnswer(sees=None, reason="no libnvidia-ml in the container")
    if exit_code in NOT_RUNNABLE:
        return SmiAnswer(sees=None, reason="no nvidia-smi in the container")
    return SmiAnswer(
        sees=None,
        reason=f"nvidia-smi ended with {exit_code}: {said or 'no output'}",
        broke=True,
    )
