"""What nvidia-smi says inside containers."""

from __future__ import annotations

import pytest

from agent.doctor.smi import read_smi

TWO = """\
GPU 0: NVIDIA A10 (UUID: GPU-0a1b2c3d-0000-1111-2222-333344445555)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1a1b2c3d-0000-1111-2222-333344445555)
  MIG 1g.5gb      Device  0: (UUID: MIG-2a1b2c3d-0000-1111-2222-333344445555)
  MIG 2g.10gb     Device  1: (UUID: MIG-GPU-1a1b2c3d-0000-1111-2222-333344445555/1/0)
"""


def test_gpus_and_slices_are_listed() -> None:
    answer = read_smi(0, TWO)
    assert answer.sees is True
    assert answer.uuids == (
        "GPU-0a1b2c3d-0000-1111-2222-333344445555",
        "GPU-1a1b2c3d-0000-1111-2222-333344445555",
        "MIG-2a1b2c3d-0000-1111-2222-333344445555",
        "MIG-GPU-1a1b2c3d-0000-1111-2222-333344445555/1/0",
    )


def test_a_jetsons_own_gpu_is_listed() -> None:
    """As JetPack 6 prints it: no "GPU-" before the UUID."""
    answer = read_smi(0, "GPU 0: Orin (nvgpu) (UUID: a9485f58-0a6e-5a97-b73d-87cdf435c65e)\n")
    assert (answer.sees, answer.broke) == (True, False)
    assert answer.uuids == ("a9485f58-0a6e-5a97-b73d-87cdf435c65e",)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        # As nvidia-smi 580.159.04 said on an H200: without its node, with nodes that may not be
        # opened, without any node.
        (0, "No devices found.\n"),
        (4, "Failed to initialize NVML: Insufficient Permissions\n"),
        (
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n\n",
        ),
        # As others have reported.
        (6, "No devices were found\n"),
        (255, "Failed to initialize NVML: Unknown Error\n"),
        (18, "\nFailed to initialize NVML: Driver/library version mismatch\nNVML library 535.2\n"),
        (15, "Unable to determine the device handle for GPU0: 0000:01:00.0: Unknown Error\n"),
    ],
)
def test_it_runs_and_sees_none(code: int, output: str) -> None:
    answer = read_smi(code, output)
    assert answer.sees is False
    assert answer.reason
    assert answer.reason in output


@pytest.mark.parametrize(
    ("code", "output", "reason"),
    [
        (127, "sh: nvidia-smi: not found\n", "no nvidia-smi in the container"),
        (126, "OCI runtime exec failed: exec failed\n", "no nvidia-smi in the container"),
        # This one also on the H200, with the library hidden.
        (
            12,
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.\n",
            "no libnvidia-ml in the container",
        ),
        (137, "", "nvidia-smi ended with 137: no output"),
        (None, "", "nvidia-smi ended with None: no output"),
        (0, "something else\n", "nvidia-smi ended with 0: something else"),
    ],
)
def test_it_does_not_tell(code: int | None, output: str, reason: str) -> None:
    broke = code not in (126, 127, 12)
    assert read_smi(code, output) == (None, (), reason, broke)
