"""What a workload's own GPU probe tells."""

from __future__ import annotations

import pytest

from agent.protocol.gpus import Gpu
from agent.workloads.gpu_check import Ran, probed

GPUS = [Gpu(uuid=f"GPU-{letter}", index=n, name="A10") for n, letter in enumerate("ab")]


def test_a_probe_on_a_jetson() -> None:
    """Its GPU has another name inside, or none: that the probe is content is all there is."""
    seen = probed(Ran(0, "cuda:0 Orin"), ["TEGRA-142"], GPUS)
    assert (seen.verdict, seen.how) == ("right", "probe")
    assert probed(Ran(1, "no GPU"), ["TEGRA-142"], GPUS).verdict == "wrong"


@pytest.mark.parametrize(
    ("ran", "verdict", "words"),
    [
        (Ran(0, "GPU-a is fine"), "right", "sees GPU-a"),
        (Ran(0, "GPU-b"), "wrong", "does not see GPU-a"),
        (Ran(0, ""), "wrong", "does not see GPU-a"),
        (Ran(0, "GPU-a, GPU-b"), "wrong", "sees GPU-b, which are not its"),
        (Ran(3, "GPU-a  no\n memory"), "wrong", "ended with 3: GPU-a no memory"),
    ],
)
def test_what_a_probe_tells(ran: Ran, verdict: str, words: str) -> None:
    seen = probed(ran, ["GPU-a"], GPUS)
    assert (seen.verdict, seen.how) == (verdict, "probe")
    assert words in seen.what
